"""Lists, deletions and waits of cleanup, on an API server that misbehaves."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any

import pytest

from shared.core.cleanup.ports import Belonging, KeptCredentials
from shared.errors import ClusterUnavailable
from shared.kube.pods.inventory import KubernetesInventory
from tests.shared.kube.api.test_client import closing
from tests.shared.store.samples import NOON, a_session
from tests.support.exec_server import api_at
from tests.support.kube_server import Answer, KubeServer, events, failure

PODS = "/api/v1/namespaces/gamgui/pods"
POD = Belonging(kind="pod", name="gam-x", uid="7-7", session_id="x", created_at=NOON)


def an_object(name: str, **metadata: Any) -> dict[str, Any]:
    labels = {"gamgui.io/session": name.removeprefix("gam-")}
    created = "2026-03-01T12:00:00Z"
    return {
        "metadata": {
            "name": name,
            "uid": f"u-{name}",
            "labels": labels,
            "creationTimestamp": created,
            **metadata,
        },
        "status": {"phase": "Running"},
    }


def a_list(*names: str, **metadata: str) -> Answer:
    found = {"items": [an_object(name) for name in names], "metadata": {"resourceVersion": "9", **metadata}}
    return Answer(body=found)


async def listed(*script: Answer) -> tuple[list[str], list[dict[str, str]]]:
    """Names that were listed, and the queries that it took."""
    async with KubeServer(list(script)).running() as server, closing(api_at(server.url)) as api:
        names = [pod.name async for pod in KubernetesInventory(api, "gamgui").pods()]
        return names, [dict(request.query) for request in server.requests]


async def test_pods_are_listed_in_pages_by_their_labels() -> None:
    names, queries = await listed(a_list("a", "b", **{"continue": "more"}), a_list("c"))
    assert names == ["a", "b", "c"]
    selector = "app.kubernetes.io/managed-by=gamgui,gamgui.io/session"
    assert queries == [
        {"labelSelector": selector, "limit": "500"},
        {"labelSelector": selector, "limit": "500", "continue": "more"},
    ]


async def test_a_list_whose_pages_have_expired_goes_on_as_the_server_says() -> None:
    expired = failure(410, "Expired")
    expired.body["metadata"] = {"continue": "anew"}
    names, queries = await listed(a_list("a", **{"continue": "old"}), expired, a_list("b"))
    assert names == ["a", "b"]
    assert [query.get("continue") for query in queries] == [None, "old", "anew"]


async def test_a_list_that_cannot_go_on_is_a_fault() -> None:
    with pytest.raises(ClusterUnavailable):
        await listed(a_list("a", **{"continue": "old"}), failure(410, "Expired"))


async def test_of_secrets_only_the_metadata_are_asked_for() -> None:
    secret = {**an_object("gam-y"), "data": {"oauth2.txt": "Y2FuYXJ5"}}
    script = [Answer(body={"items": [secret], "metadata": {"resourceVersion": "9"}})]
    async with KubeServer(script).running() as server, closing(api_at(server.url)) as api:
        (found,) = [one async for one in KubernetesInventory(api, "gamgui").secrets()]
        assert (found.kind, found.session_id, found.status) == ("secret", "y", None)
        (request,) = server.requests
        assert request.headers["Accept"].startswith("application/json;as=PartialObjectMetadataList")


async def test_only_the_very_object_that_was_seen_is_deleted() -> None:
    script = [Answer()]
    async with KubeServer(script).running() as server, closing(api_at(server.url)) as api:
        await KubernetesInventory(api, "gamgui").delete(POD)
        assert [(request.method, request.path) for request in server.requests] == [
            ("DELETE", f"{PODS}/gam-x")
        ]
        assert json.loads(server.bodies[0])["preconditions"] == {"uid": "7-7"}


@pytest.mark.parametrize("answer", [failure(404, "NotFound"), failure(409, "Conflict")])
async def test_an_object_that_is_gone_or_another_one_now_is_let_be(answer: Answer) -> None:
    async with KubeServer([answer]).running() as server, closing(api_at(server.url)) as api:
        await KubernetesInventory(api, "gamgui").delete(POD)


async def gone(*script: Answer, names: str = "ab", timeout_seconds: float = 5.0) -> tuple[set[str], int]:
    """Which pods were gone, and how many requests that took."""
    sessions = [a_session(id=name, pod_name=f"gam-{name}") for name in names]
    async with KubeServer(list(script)).running() as server, closing(api_at(server.url)) as api:
        found = await KubernetesInventory(api, "gamgui").gone(sessions, timeout_seconds)
        return found, len(server.requests)


def deleted(name: str) -> list[bytes]:
    return events(("DELETED", an_object(name)))


async def test_pods_that_are_not_listed_are_gone_without_a_watch() -> None:
    assert await gone(a_list("gam-c")) == ({"a", "b"}, 1)


async def test_one_watch_waits_for_all_of_them() -> None:
    watch = Answer(lines=[*deleted("gam-b"), *deleted("gam-a")], hangs=True)
    assert await gone(a_list("gam-a", "gam-b"), watch) == ({"a", "b"}, 2)


@pytest.mark.parametrize("broken", [Answer(lines=[], torn=True), failure(410, "Expired"), Answer(lines=[])])
async def test_after_a_watch_that_broke_it_looks_again(broken: Answer) -> None:
    found, requests = await gone(a_list("gam-a", "gam-b"), broken, a_list("gam-b"), broken, a_list())
    assert (found, requests) == ({"a", "b"}, 5)


async def test_those_that_do_not_go_in_time_are_not_gone() -> None:
    watch = Answer(lines=deleted("gam-b"), hangs=True)
    assert (await gone(a_list("gam-a", "gam-b"), watch, timeout_seconds=0.5))[0] == {"b"}


async def test_a_namespace_that_cannot_be_looked_at_leaves_no_wait_for_another_behind() -> None:
    sessions = [a_session(id=name, namespace=name, pod_name=f"gam-{name}") for name in "ab"]
    # The first look at one is refused while the other's watch, which says nothing, still goes on.
    script = [a_list("gam-a", "gam-b"), failure(403, "Forbidden"), Answer(lines=[], hangs=True)]
    async with KubeServer(script).running() as server, closing(api_at(server.url)) as api:
        before = asyncio.all_tasks()
        with pytest.raises(ClusterUnavailable):
            await KubernetesInventory(api, "gamgui").gone(sessions, 0.3)
        waits = [task for task in asyncio.all_tasks() - before if "_wait_gone" in repr(task)]
    assert waits == []


OWNER = "0829fb2e0b7cc0ea42c9fdaa2dd4e5ee"
CREDENTIALS = f"gam-credentials-{OWNER}"


def kept(name: str = CREDENTIALS, **metadata: Any) -> dict[str, Any]:
    labels = {"gamgui.io/owner": OWNER}
    notes = {"gamgui.io/updated-oauth2.txt": NOON.isoformat()}
    given = {"name": name, "uid": "7-7", "resourceVersion": "9", "labels": labels, "annotations": notes}
    return {"metadata": {**given, **metadata}}


async def test_credentials_are_listed_without_what_is_in_them() -> None:
    secrets = [
        kept(),
        kept("somebody-elses"),
        kept(deletionTimestamp="2026-03-01T12:00:00Z"),
        kept(annotations=None),
    ]
    script = [Answer(body={"items": secrets, "metadata": {"resourceVersion": "9"}})]
    async with KubeServer(script).running() as server, closing(api_at(server.url)) as api:
        found = [one async for one in KubernetesInventory(api, "gamgui").credentials()]
        (request,) = server.requests
    one = KeptCredentials(name=CREDENTIALS, uid="7-7", version="9", owner=OWNER, changed_at=NOON)
    assert found == [one, dataclasses.replace(one, changed_at=None)]
    assert request.headers["Accept"].startswith("application/json;as=PartialObjectMetadataList")
    managed = "app.kubernetes.io/managed-by=gamgui"
    assert request.query["labelSelector"] == f"{managed},gamgui.io/owner,!gamgui.io/session"


@pytest.mark.parametrize(("status", "deleted"), [(200, True), (404, False), (409, False)])
async def test_credentials_are_deleted_only_as_they_were_found(status: int, deleted: bool) -> None:
    answer = Answer(body={"kind": "Secret"}) if status == 200 else failure(status, "Conflict")
    one = KeptCredentials(name=CREDENTIALS, uid="7-7", version="9", owner=OWNER, changed_at=NOON)
    async with KubeServer([answer]).running() as server, closing(api_at(server.url)) as api:
        assert await KubernetesInventory(api, "gamgui").delete_credentials(one) is deleted
        assert json.loads(server.bodies[0])["preconditions"] == {"uid": "7-7", "resourceVersion": "9"}
