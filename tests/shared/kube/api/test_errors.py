"""What a refusal means, by the words that Kubernetes uses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kube.api.errors import AdmissionDenied, ApiError, PatchDoesNotFit, denied_by, public_message
from shared.reasons import Reason

CANNOT = "Operation cannot be fulfilled on "
MODIFIED = ": the object has been modified; please apply your changes to the latest version and try again"
QUOTA = f'{CANNOT}resourcequotas "gke-resource-quotas"{MODIFIED}'
RBAC = (
    'pods is forbidden: User "fn@demo.iam.gserviceaccount.com" cannot create resource "pods" in API group ""'
)
WEBHOOK = 'admission webhook "validate.policy.example.com" denied the request: '
POLICY = "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'team' with binding 'all' denied request: "
CALL = 'Internal error occurred: failed calling webhook "v.example.com": failed to call webhook: '


def read(
    code: int, reason: str, message: str, *, writes: bool = True, versioned: str = "", patch: bool = False
) -> ApiError:
    body: Any = {"kind": "Status", "reason": reason, "message": message, "code": code}
    kind = "application/json-patch+json" if patch else "application/json"
    return ApiError.from_answer(code, body, {}, writes=writes, versioned=versioned, content_type=kind)


@pytest.mark.parametrize(
    ("code", "reason", "message", "versioned"),
    [
        (409, "Conflict", QUOTA, ""),
        (409, "Conflict", QUOTA, "pods"),
        (409, "Conflict", QUOTA, "secrets"),
        (
            409,
            "Conflict",
            f'{CANNOT}pods "x"{MODIFIED}',
            "",
        ),
        (429, "TooManyRequests", "too many requests, please try again later", ""),
        (408, "", "", ""),
        (500, "ServerTimeout", "The POST operation against pods could not be completed at this time", ""),
        (500, "InternalError", "Internal error occurred: etcdserver: leader changed", ""),
        (500, "InternalError", "Internal error occurred: resource quota evaluation timed out", ""),
        (500, "", "error dialing backend: dial tcp 10.0.0.5:10250: connect: connection refused", ""),
        (500, "InternalError", f'{CALL}Post "https://v.svc:443/?timeout=10s": context deadline exceeded', ""),
        (503, "ServiceUnavailable", "the server is currently unable to handle the request", ""),
        (504, "Timeout", "request did not complete within the allotted timeout", ""),
        (403, "Forbidden", 'pods "x" is forbidden: not yet ready to handle request', ""),
        (403, "Forbidden", 'pods "x" is forbidden: status unknown for quota: q, resources: pods', ""),
        (403, "Forbidden", f"{WEBHOOK}failed to fetch the image: context deadline exceeded", ""),
        (429, "TooManyRequests", f"{WEBHOOK}try later", ""),
        (500, "InternalError", f"{WEBHOOK}no database", ""),
    ],
)
def test_what_passes_is_told_by_reason_and_message(
    code: int, reason: str, message: str, versioned: str
) -> None:
    error = read(code, reason, message, versioned=versioned)
    assert error.passes
    assert (error.status, error.reason) == (503, Reason.CLUSTER_REFUSED)
    assert "role" not in error.detail


@pytest.mark.parametrize(
    ("code", "reason", "message", "versioned"),
    [
        (409, "AlreadyExists", 'pods "x" already exists', ""),
        (409, "AlreadyExists", 'object is being deleted: pods "x" already exists', ""),
        (409, "Conflict", f'{CANNOT}secrets "x"{MODIFIED}', "secrets"),
        (409, "Conflict", f'{CANNOT}pods "x": Precondition failed: UID in precondition: 7', ""),
        (409, "Conflict", 'Apply failed with 1 conflict: conflict with "kubectl": .spec.replicas', ""),
        (409, "Conflict", f"{WEBHOOK}the object has been modified", ""),
        (500, "", 'container not found ("session")', ""),
        (500, "", 'unable to upgrade connection: container not found ("session")', ""),
        (501, "", "", ""),
        (400, "BadRequest", "context deadline exceeded", ""),
        (404, "NotFound", 'pods "x" not found', ""),
        (422, "Invalid", 'Pod "x" is invalid: spec: connection refused', ""),
        (403, "Forbidden", f"{RBAC}: context deadline exceeded", ""),
    ],
)
def test_what_lasts_is_not_repeated(code: int, reason: str, message: str, versioned: str) -> None:
    assert not read(code, reason, message, versioned=versioned).passes


ROLES = [
    RBAC,
    'pods "x" is forbidden: User "u" cannot get resource "pods/exec" in API group "" in the namespace "n"',
    f'{RBAC} in the namespace "n": requires one of ["container.pods.create"] permission(s).',
    'forbidden: User "system:anonymous" cannot get path "/version"',
    'deployments.apps "d" is forbidden: User "a \\"b\\" c" cannot patch resource "deployments"',
    'users "x" is forbidden: User "u" cannot impersonate resource "users" in API group ""',
    'roles.rbac.authorization.k8s.io "r" is forbidden: user "u" (groups=["a"]) is attempting to grant RBAC '
    "permissions not currently held",
]


@pytest.mark.parametrize("writes", [True, False])
@pytest.mark.parametrize("message", ROLES)
def test_rbacs_own_sentence_is_about_roles(message: str, writes: bool) -> None:
    error = read(403, "Forbidden", message, writes=writes)
    assert (error.status, error.reason, error.lacks_role) == (503, Reason.CLUSTER_FORBIDDEN, True)
    assert "lacks a role" in error.detail


DENIALS = [
    (code, f"{before}{words}")
    for code in (400, 401, 403, 409, 413, 422)
    for before in (WEBHOOK, POLICY)
    for words in ("[require-team-label] pods must carry the label team", RBAC, ROLES[1])
] + [
    (403, f'pods "x" is forbidden: {words}')
    for words in (
        'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false',
        "failed quota: q: must specify limits.cpu for: session",
        "insufficient quota to match these scopes: [{PriorityClass In [high]}]",
        "minimum memory usage per Container is 1Gi, but request is 64Mi",
        'error looking up service account n/gam: serviceaccount "gam" not found',
        "no PriorityClass with name gam was found",
        'pod rejected: RuntimeClass "gvisor" not found',
        "unable to create new content in namespace n because it is being terminated",
        "unable to validate against any security context constraint: []",
        'Users "x" cannot do this',
    )
]


@pytest.mark.parametrize(("code", "message"), DENIALS)
def test_every_other_denial_of_a_write_is_admissions_in_kubernetes_words(code: int, message: str) -> None:
    error = read(code, "", message)
    assert isinstance(error, AdmissionDenied)
    assert (error.status, error.reason) == (422, Reason.ADMISSION_DENIED)
    assert public_message(message) in error.detail
    assert "lacks a role" not in error.detail
    assert not error.passes


def test_a_read_passes_no_admission() -> None:
    for message in ("no", 'pods "x" is forbidden: by somebody'):
        error = read(403, "Forbidden", message, writes=False)
        assert (error.status, error.reason) == (503, Reason.CLUSTER_FORBIDDEN)
        assert "lacks a role" not in error.detail


@given(words=st.text(), code=st.sampled_from([400, 403, 409, 422]))
def test_no_words_of_a_denial_speak_of_roles(words: str, code: int) -> None:
    for before in (WEBHOOK, POLICY, 'pods "x" is forbidden: policy says: '):
        assert "lacks a role" not in read(code, "Forbidden", before + words).detail


@given(message=st.text(max_size=2000), code=st.integers(300, 599), reason=st.text(max_size=1000))
def test_whatever_is_said_is_bounded_and_printable(message: str, code: int, reason: str) -> None:
    error = read(code, reason, message)
    assert len(error.detail) < 800
    assert error.detail.isprintable()


@pytest.mark.parametrize(
    "body", ["<html>no</html>", "", None, 7, [], {}, {"message": 1, "metadata": [], "details": 3}]
)
def test_what_is_no_status_is_told_as_it_is(body: Any) -> None:
    error = ApiError.from_answer(403, body, {}, writes=True)
    assert (error.status, error.reason) == (503, Reason.CLUSTER_FORBIDDEN)


def test_a_denial_is_named_without_what_it_may_quote() -> None:
    assert denied_by(WEBHOOK + "data: hunter2") == 'admission webhook "validate.policy.example.com"'
    assert denied_by(POLICY + "data: hunter2") == ("ValidatingAdmissionPolicy 'team' with binding 'all'")
    assert denied_by('pods "x" is forbidden: no') == ""


def test_the_failed_test_of_a_patch_has_a_text_of_its_own() -> None:
    words = "the server rejected our request due to an error in our request"
    error = read(422, "Invalid", words, patch=True)
    assert isinstance(error, PatchDoesNotFit)
    assert (error.status, error.reason) == (422, Reason.PATCH_TEST_FAILED)
    assert "a test of the JSON patch failed" in error.detail
    assert "a test of the JSON patch failed" in str(error)
    assert not isinstance(read(422, "Invalid", words), PatchDoesNotFit)
    assert not isinstance(read(422, "Invalid", 'Pod "x" is invalid', patch=True), PatchDoesNotFit)
