"""Credentials in Secrets, on an API server that misbehaves."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.core.credentials.model import CredentialFile, Credentials
from shared.core.sessions.names import credentials_name, owner_hash
from shared.errors import ClusterUnavailable, Conflict, UnprocessableRequest, VersionConflict
from shared.kube.credentials.secret import KubernetesSecrets, last_change
from shared.reasons import Reason
from tests.shared.kube.api.test_client import closing
from tests.support.exec_server import api_at
from tests.support.kube_server import Answer, KubeServer, failure
from tests.support.people import person

ANN = person("ann@example.com")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FILE = CredentialFile("oauth2.txt", b"{}", NOON)
PATH = "/api/v1/namespaces/gamgui/secrets"
WRITTEN = Answer(body={"kind": "Secret"})


async def replaced(script: list[Answer], credentials: Credentials) -> list[tuple[str, str, dict[str, Any]]]:
    """Method, path and body of the requests that it took."""
    async with KubeServer(script).running() as server, closing(api_at(server.url)) as api:
        await KubernetesSecrets(api, "gamgui").replace(ANN, credentials)
        requests = zip(server.requests, server.bodies, strict=True)
        return [(request.method, request.path, json.loads(body)) for request, body in requests]


async def read(answer: Answer) -> Credentials:
    async with KubeServer([answer]).running() as server, closing(api_at(server.url)) as api:
        return await KubernetesSecrets(api, "gamgui").get(ANN)


SECRET: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {
        "name": credentials_name(ANN.email),
        "namespace": "gamgui",
        "labels": {"app.kubernetes.io/managed-by": "gamgui", "gamgui.io/owner": owner_hash(ANN.email)},
        "annotations": {
            "gamgui.io/subject": owner_hash(ANN.subject),
            "gamgui.io/updated-oauth2.txt": "2026-03-01T12:00:00+00:00",
        },
    },
    "type": "Opaque",
    "data": {"oauth2.txt": "e30="},
}


async def test_the_first_files_make_exactly_this_secret() -> None:
    assert await replaced([WRITTEN], Credentials({FILE.name: FILE})) == [("POST", PATH, SECRET)]


async def test_a_secret_that_is_there_is_replaced_as_a_whole_if_it_still_has_its_version() -> None:
    (request,) = await replaced([WRITTEN], Credentials({FILE.name: FILE}, "7"))
    metadata = {**SECRET["metadata"], "resourceVersion": "7"}
    assert request == ("PUT", f"{PATH}/{credentials_name(ANN.email)}", {**SECRET, "metadata": metadata})


async def test_no_files_remove_it_if_it_still_has_its_version() -> None:
    (request,) = await replaced([WRITTEN], Credentials({}, "7"))
    assert request[0] == "DELETE"
    assert request[2]["preconditions"] == {"resourceVersion": "7"}


async def test_removing_what_is_gone_is_a_success() -> None:
    assert len(await replaced([Answer(status=0), failure(404, "NotFound")], Credentials({}, "7"))) == 2


@pytest.mark.parametrize(
    ("credentials", "script"),
    [
        (Credentials({FILE.name: FILE}), [failure(409, "AlreadyExists")]),
        (Credentials({FILE.name: FILE}), [Answer(status=0), failure(409, "AlreadyExists")]),
        (Credentials({FILE.name: FILE}, "7"), [failure(409, "Conflict")]),
        (Credentials({FILE.name: FILE}, "7"), [Answer(status=0), failure(409, "Conflict")]),
        (Credentials({FILE.name: FILE}, "7"), [failure(404, "NotFound")]),
        (Credentials({}, "7"), [failure(409, "Conflict")]),
    ],
    ids=["made", "made, answer lost", "changed", "changed, answer lost", "removed", "changed first"],
)
async def test_what_others_did_is_a_conflict(credentials: Credentials, script: list[Answer]) -> None:
    with pytest.raises(VersionConflict) as caught:
        await replaced(script, credentials)
    assert caught.value.__cause__ is None


async def test_a_write_that_met_others_at_the_quota_is_no_change_of_the_credentials() -> None:
    words = 'Operation cannot be fulfilled on resourcequotas "q": the object has been modified; try again'
    busy = failure(409, "Conflict", words)
    assert len(await replaced([busy, WRITTEN], Credentials({FILE.name: FILE}))) == 2
    for version in ("", "7"):
        asked = failure(409, "Conflict", words, Retry_After="60")
        with pytest.raises(ClusterUnavailable) as caught:
            await replaced([asked], Credentials({FILE.name: FILE}, version))
        assert caught.value.retry_after_seconds == 60


async def test_a_denial_is_told_by_the_name_of_who_denied() -> None:
    denied = failure(403, "Forbidden", 'admission webhook "v.example.com" denied the request: oauth2 is {}')
    with pytest.raises(UnprocessableRequest) as caught:
        await replaced([denied], Credentials({FILE.name: FILE}))
    assert caught.value.reason is Reason.ADMISSION_DENIED
    assert 'admission webhook "v.example.com" denied it' in caught.value.detail
    assert "oauth2" not in caught.value.detail


async def test_files_are_read_with_their_times() -> None:
    metadata = {**SECRET["metadata"], "resourceVersion": "9"}
    found = await read(Answer(body={**SECRET, "metadata": metadata}))
    assert found == Credentials({FILE.name: FILE}, "9", ANN.subject, credentials_name(ANN.email))


@pytest.mark.parametrize("notes", [None, {}, {"gamgui.io/updated-oauth2.txt": "2026-03-01T12:00:00+00:00"}])
async def test_a_secret_of_an_earlier_release_says_not_whose_it_is(notes: dict[str, str] | None) -> None:
    metadata = {**SECRET["metadata"], "annotations": notes}
    assert (await read(Answer(body={**SECRET, "metadata": metadata}))).subject == ""


async def test_the_secret_of_who_had_the_address_before_is_refused() -> None:
    metadata = {**SECRET["metadata"], "annotations": {"gamgui.io/subject": owner_hash("google:1")}}
    with pytest.raises(Conflict) as caught:
        await read(Answer(body={**SECRET, "metadata": metadata}))
    assert caught.value.reason == Reason.OWNER_CHANGED


async def test_there_is_nothing_until_something_is_put() -> None:
    assert await read(failure(404, "NotFound")) == Credentials({})


@pytest.mark.parametrize("note", [{}, {"gamgui.io/updated-oauth2.txt": "yesterday"}])
async def test_a_secret_that_somebody_else_wrote_is_read_as_far_as_it_is_one(note: dict[str, str]) -> None:
    data = {"oauth2.txt": base64.b64encode(b"no json").decode(), "other": "eA=="}
    found = await read(Answer(body={"metadata": {"resourceVersion": "9", "annotations": note}, "data": data}))
    files = {"oauth2.txt": CredentialFile("oauth2.txt", b"no json", None)}
    assert found == Credentials(files, "9", secret=credentials_name(ANN.email))
    assert found.files["oauth2.txt"].identifiers() == {}


async def passed_on(
    script: list[Answer], subject: str = "google:42"
) -> tuple[Sequence[str], list[tuple[str, dict[str, Any]]]]:
    """What is answered, and method and body of the requests that it took."""
    async with KubeServer(script).running() as server, closing(api_at(server.url)) as api:
        files = await KubernetesSecrets(api, "gamgui").rebind(ANN.email, subject)
        requests = zip(server.requests, server.bodies, strict=True)
        return files, [(request.method, json.loads(body or b"{}")) for request, body in requests]


async def test_a_secret_is_passed_on_with_all_that_is_in_it() -> None:
    metadata = {**SECRET["metadata"], "resourceVersion": "9", "finalizers": ["a/b"]}
    theirs = {**SECRET, "metadata": metadata, "data": {"oauth2.txt": "e30=", "other": "eA=="}}
    files, (_, (method, body)) = await passed_on([Answer(body=theirs), WRITTEN])
    assert (files, method) == (("oauth2.txt",), "PUT")
    at = body["metadata"]["annotations"].pop("gamgui.io/updated-owner")
    assert last_change({"gamgui.io/updated-owner": at}) is not None
    notes = {**metadata["annotations"], "gamgui.io/subject": owner_hash("google:42")}
    assert body == {**theirs, "metadata": {**metadata, "annotations": notes}}


async def test_what_is_his_already_or_nobodys_is_left_alone() -> None:
    assert await passed_on([Answer(body=SECRET)], ANN.subject) == ((), [("GET", {})])
    assert await passed_on([failure(404, "NotFound")]) == ((), [("GET", {})])


async def test_passing_on_what_was_changed_meanwhile_is_a_conflict() -> None:
    metadata = {**SECRET["metadata"], "resourceVersion": "9"}
    with pytest.raises(VersionConflict):
        await passed_on([Answer(body={**SECRET, "metadata": metadata}), failure(409, "Conflict")])


async def test_a_secret_is_removed_whosever_it_is_if_it_still_has_its_version() -> None:
    metadata = {"resourceVersion": "9", "annotations": {"gamgui.io/subject": owner_hash("google:1")}}
    script = [Answer(body={**SECRET, "metadata": metadata}), WRITTEN]
    async with KubeServer(script).running() as server, closing(api_at(server.url)) as api:
        assert await KubernetesSecrets(api, "gamgui").remove(ANN.email) == ("oauth2.txt",)
        assert [request.method for request in server.requests] == ["GET", "DELETE"]
        assert json.loads(server.bodies[1])["preconditions"] == {"resourceVersion": "9"}
    async with KubeServer([failure(404, "NotFound")]).running() as server, closing(api_at(server.url)) as api:
        assert await KubernetesSecrets(api, "gamgui").remove(ANN.email) == ()
