"""The adapter behind ``PodRuntime`` on an API server that misbehaves."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from shared.core.sessions.pod import PodPhase
from shared.errors import (
    ClusterUnavailable,
    ConfigurationError,
    GamguiError,
    SessionStartFailed,
    TooManyRequests,
)
from shared.kube.pods.manifest import PodOptions
from shared.kube.pods.runtime import KubernetesRuntime
from tests.shared.kube.api.test_client import closing
from tests.shared.kube.pods.test_manifest import SESSION
from tests.support.exec_server import api_at
from tests.support.kube_server import Answer, KubeServer, events, failure
from tests.support.patience import PATIENCE

NEVER = asyncio.Event()
OPTIONS = PodOptions(
    service_account="",
    runtime_class="",
    disk="1Gi",
    disk_request="",
    jobs_disk_bytes=2**30,
    max_ttl_seconds=86400,
)


def pod(version: str, ready: bool = False, session: str = SESSION.id, **metadata: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "metadata": {"resourceVersion": version, "labels": {"gamgui.io/session": session}, **metadata},
        "status": {"phase": "Running" if ready else "Pending", "conditions": conditions},
    }


@pytest.mark.parametrize("lost", [(), (Answer(status=0),), (Answer(status=0), failure(500, "InternalError"))])
@pytest.mark.parametrize("version", ["7", "8"])
async def test_a_pod_that_is_there_already_is_looked_at_at_once(
    lost: tuple[Answer, ...], version: str
) -> None:
    """Its answer was lost, or an earlier request made it: no watch tells what has happened before."""
    script = [
        *lost,
        failure(409, "AlreadyExists"),
        Answer(body=pod("7")),
        Answer(body=pod(version, ready=True)),
    ]
    async with KubeServer(script).running() as server, closing(api_at(server.url)) as api:
        runtime = KubernetesRuntime(api, OPTIONS, shutdown=NEVER)
        position = await runtime.create(SESSION)
        status = await runtime.wait_ready(SESSION, PATIENCE, position)
    assert status.phase is PodPhase.READY
    methods = [(request.method, "watch" in request.query) for request in server.requests]
    assert methods == [("POST", False)] * (len(lost) + 1) + [("GET", False)] * 2


async def test_a_pod_of_another_session_under_our_name_is_no_success() -> None:
    script = [failure(409, "AlreadyExists"), Answer(body=pod("7", session="sother"))]
    async with KubeServer(script).running() as server, closing(api_at(server.url)) as api:
        with pytest.raises(ClusterUnavailable):
            await KubernetesRuntime(api, OPTIONS, shutdown=NEVER).create(SESSION)


QUOTA = 'pods "x" is forbidden: exceeded quota: q2, requested: pods=1, used: pods=7, limited: pods=3'
SECURITY = (
    'pods "psa" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false'
)
LIMIT = 'pods "x" is forbidden: maximum cpu usage per Container is 2, but limit is 3'
WEBHOOK = (
    'admission webhook "validate.policy.example.com" denied the request: '
    "[require-team-label] pods must carry the label team"
)
CONFLICT = (
    'Operation cannot be fulfilled on resourcequotas "gke-resource-quotas": the object has been modified; '
    "please apply your changes to the latest version and try again"
)
RBAC = 'pods is forbidden: User "fn@demo.iam.gserviceaccount.com" cannot create resource "pods"'


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (failure(403, "Forbidden", QUOTA), TooManyRequests, "NAMESPACE_QUOTA_EXCEEDED"),
        (failure(403, "Forbidden", SECURITY), SessionStartFailed, "POD_SECURITY_VIOLATION"),
        (failure(403, "Forbidden", LIMIT), SessionStartFailed, "POD_INVALID"),
        (failure(422, "Invalid", "spec.x: Invalid value"), SessionStartFailed, "POD_INVALID"),
        (failure(403, "Forbidden", WEBHOOK), SessionStartFailed, "ADMISSION_DENIED"),
        (failure(400, "", WEBHOOK), SessionStartFailed, "ADMISSION_DENIED"),
        (failure(422, "Invalid", f"{WEBHOOK}: exceeded quota: mine"), SessionStartFailed, "ADMISSION_DENIED"),
        (
            failure(403, "Forbidden", f"{WEBHOOK}: exceeded quota: mine"),
            SessionStartFailed,
            "ADMISSION_DENIED",
        ),
        (failure(403, "Forbidden", f"{WEBHOOK}: {RBAC}"), SessionStartFailed, "ADMISSION_DENIED"),
        (failure(403, "Forbidden", "in words of its own"), SessionStartFailed, "ADMISSION_DENIED"),
        (Answer(403, "<html>a proxy's</html>"), ClusterUnavailable, "CLUSTER_FORBIDDEN"),
        (failure(409, "Conflict", CONFLICT, Retry_After="60"), ClusterUnavailable, "CLUSTER_REFUSED"),
        (failure(403, "Forbidden", RBAC), ClusterUnavailable, "CLUSTER_FORBIDDEN"),
        (failure(404, "NotFound", 'namespaces "gamgui" not found'), ClusterUnavailable, "CLUSTER_REFUSED"),
    ],
)
async def test_every_refusal_of_a_create_is_told_as_what_it_is(
    answer: Answer, kind: type[GamguiError], reason: str
) -> None:
    async with KubeServer([answer]).running() as server, closing(api_at(server.url)) as api:
        with pytest.raises(kind) as caught:
            await KubernetesRuntime(api, OPTIONS, shutdown=NEVER).create(SESSION)
    assert caught.value.reason == reason


async def test_a_create_that_met_others_at_the_quota_is_sent_again() -> None:
    script = [failure(409, "Conflict", CONFLICT), failure(409, "Conflict", CONFLICT), Answer(body=pod("7"))]
    async with KubeServer(script).running() as server, closing(api_at(server.url)) as api:
        assert await KubernetesRuntime(api, OPTIONS, shutdown=NEVER).create(SESSION) == "7"
    assert [request.method for request in server.requests] == ["POST"] * 3


async def test_a_watch_that_is_refused_is_not_asked_for_before_its_time() -> None:
    script = [failure(429, "TooManyRequests", Retry_After="3600"), Answer(body=pod("8"))]
    async with KubeServer(script).running() as server, closing(api_at(server.url)) as api:
        status = await KubernetesRuntime(api, OPTIONS, shutdown=NEVER).wait_ready(SESSION, 0.5, "7")
    assert status.phase is PodPhase.PENDING
    assert [request.query.get("watch") for request in server.requests] == ["1", None]


async def test_watches_that_end_at_once_are_not_asked_for_in_a_row() -> None:
    """As a proxy ends them that knows no streams."""
    script = [Answer(lines=[]), Answer(body=pod("8"))] * 1000
    async with KubeServer(script).running() as server, closing(api_at(server.url)) as api:
        status = await KubernetesRuntime(api, OPTIONS, shutdown=NEVER).wait_ready(SESSION, 1.0, "7")
    assert status.phase is PodPhase.PENDING
    assert 2 <= len(server.requests) <= 20


async def test_readiness_is_watched_from_the_creates_version_without_a_poll() -> None:
    stream = Answer(lines=events(("MODIFIED", pod("8")), ("MODIFIED", pod("9", ready=True))))
    async with KubeServer([stream]).running() as server, closing(api_at(server.url)) as api:
        status = await KubernetesRuntime(api, OPTIONS, shutdown=NEVER).wait_ready(SESSION, 10, "7")
    assert status.phase is PodPhase.READY
    assert [request.query.get("resourceVersion") for request in server.requests] == ["7"]


@pytest.mark.parametrize(
    "broken",
    [
        Answer(lines=events(("MODIFIED", pod("8"))), torn=True),
        Answer(lines=events(("ERROR", {"code": 410, "reason": "Expired"}))),
        failure(410, "Expired"),
        failure(500, "InternalError"),
        Answer(lines=[]),
    ],
    ids=["torn", "410 event", "410", "500", "ended"],
)
async def test_a_watch_that_breaks_is_taken_up_again_after_a_look(broken: Answer) -> None:
    script = [broken, Answer(body=pod("11")), Answer(lines=events(("MODIFIED", pod("12", ready=True))))]
    async with KubeServer(script).running() as server, closing(api_at(server.url)) as api:
        status = await KubernetesRuntime(api, OPTIONS, shutdown=NEVER).wait_ready(SESSION, 10, "7")
    assert status.phase is PodPhase.READY
    assert server.requests[-1].query["resourceVersion"] == "11"


async def test_the_wait_ends_at_its_deadline_with_what_is_known() -> None:
    script = [Answer(lines=events(("MODIFIED", pod("8"))), hangs=True), Answer(body=pod("9"))]
    async with KubeServer(script).running() as server, closing(api_at(server.url)) as api:
        async with asyncio.timeout(PATIENCE):
            status = await KubernetesRuntime(api, OPTIONS, shutdown=NEVER).wait_ready(SESSION, 0.5, "7")
    assert status.phase is PodPhase.PENDING


async def test_a_pod_that_was_ready_when_the_watch_stalled_is_seen() -> None:
    silent = Answer(lines=[], hangs=True)
    async with (
        KubeServer([silent, Answer(body=pod("9", ready=True))]).running() as server,
        closing(api_at(server.url)) as api,
    ):
        status = await KubernetesRuntime(api, OPTIONS, shutdown=NEVER).wait_ready(SESSION, 0.5, "7")
    assert status.phase is PodPhase.READY


async def test_a_delete_waits_until_the_pod_is_gone() -> None:
    going = pod("9", deletionTimestamp="2026-03-01T12:00:00Z")
    script = [Answer(body=going), Answer(body=going), Answer(lines=events(("DELETED", going)))]
    async with KubeServer(script).running() as server, closing(api_at(server.url)) as api:
        assert await KubernetesRuntime(api, OPTIONS, shutdown=NEVER).delete(SESSION, 5) is True
    assert [request.method for request in server.requests] == ["DELETE", "GET", "GET"]


async def test_a_delete_of_a_pod_that_is_not_there_is_done() -> None:
    async with KubeServer([failure(404, "NotFound")]).running() as server, closing(api_at(server.url)) as api:
        assert await KubernetesRuntime(api, OPTIONS, shutdown=NEVER).delete(SESSION, 5) is True


async def test_a_pod_that_does_not_go_is_said_not_to_be_gone() -> None:
    going = pod("9", deletionTimestamp="2026-03-01T12:00:00Z")
    script = [Answer(body=going), Answer(body=going), Answer(lines=[], hangs=True), Answer(body=going)]
    async with KubeServer(script).running() as server, closing(api_at(server.url)) as api:
        assert await KubernetesRuntime(api, OPTIONS, shutdown=NEVER).delete(SESSION, 0.3) is False


async def test_the_operators_template_is_merged_and_its_absence_told() -> None:
    template = {"template": {"spec": {"nodeSelector": {"pool": "gam"}}}}
    script = [Answer(body=template), Answer(body=pod("7")), Answer(body=pod("8"))]
    async with KubeServer(script).running() as server, closing(api_at(server.url)) as api:
        runtime = KubernetesRuntime(api, OPTIONS, "gam", shutdown=NEVER)
        await runtime.create(SESSION)
        await runtime.create(dataclasses.replace(SESSION, id="sb"))
    assert b'"nodeSelector": {"pool": "gam"}' in server.bodies[1]
    assert [request.path.rpartition("/")[2] for request in server.requests] == ["gam", "pods", "pods"]
    async with KubeServer([failure(404, "NotFound")]).running() as server, closing(api_at(server.url)) as api:
        with pytest.raises(ConfigurationError, match="K8S_POD_TEMPLATE"):
            await KubernetesRuntime(api, OPTIONS, "gam", shutdown=NEVER).create(SESSION)
