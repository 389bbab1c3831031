"""What must be true of cleanup on any cluster. Time passes by changing what is stored."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from shared.core.sessions.model import Session
from shared.core.sessions.names import credentials_name
from shared.kube.api.client import KubeApi
from shared.kube.api.errors import ApiError
from shared.store.installation import StoredInstallation
from tests.contract.conftest import Target, gateway_settings, target_in
from tests.contract.test_sessions import is_gone, pod_path
from tests.support import laptop
from tests.support.client import Client, Json
from tests.support.gam_files import gam_files
from tests.support.needs import needs_here
from tests.support.patience import PATIENCE
from tests.support.stores import SqliteStore

SCHEDULER = "scheduler@project.iam.gserviceaccount.com"


class Now:
    """A ``Clock``."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclasses.dataclass(frozen=True)
class Place:
    """A gateway whose sessions are alone in their namespace: what is nobody's there is an orphan."""

    url: str
    namespace: str
    database: Path


@pytest.fixture(scope="module")
def place(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("cleanup")
    with target_in(f"{target.namespace}-cleanup", target.kubeconfig, folder) as own:
        settings = {
            **gateway_settings(own, folder),
            "CLEANUP_CALLERS": SCHEDULER,
            "ORPHAN_GRACE_SECONDS": "1",
        }
        with laptop.gateway(folder / "gateway.log", **settings) as (_, url):
            yield Place(url, own.namespace, folder / "sessions.db")


@pytest.fixture
def client(http: aiohttp.ClientSession, place: Place) -> Client:
    return Client(http, place.url, "alice@example.com")


@pytest.fixture
async def store(place: Place) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(place.database, clock=Now())
    yield store
    await store.close()


async def aged(store: SqliteStore, session: Json, **changes: Any) -> Session:
    """The stored session with other times."""
    stored = await store.get(session["id"])
    assert stored is not None
    return await store.update(dataclasses.replace(stored, **changes))


async def idle(store: SqliteStore, session: Json) -> Session:
    """A session that nobody has used for two hours."""
    return await aged(store, session, last_used_at=datetime.now(UTC) - timedelta(hours=2))


async def cleanup(client: Client, query: str = "") -> Json:
    status, report, _ = await client.as_user(SCHEDULER).call("POST", f"/v1/cleanup{query}")
    assert status == 200, report
    assert report["faults"] == []
    return report


async def get(client: Client, session: Json) -> Json:
    status, found, _ = await client.call("GET", f"/v1/sessions/{session['id']}")
    assert status == 200, found
    return found


def of(report: Json, name: str) -> list[tuple[str, str]]:
    return [(one["action"], one["because"]) for one in report["done"] if one["name"] == name]


async def test_an_expired_session_is_ended_with_its_pod_and_says_why(
    client: Client, store: SqliteStore, kube: KubeApi
) -> None:
    session = await client.create()
    await aged(store, session, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    preview = await cleanup(client, "?dry_run=true")
    assert of(preview, session["id"]) == [("deleted", "Expired: its time is over")]
    assert preview["dry_run"] is True
    assert (await get(client, session))["state"] == "running"
    report = await cleanup(client)
    assert of(report, session["id"]) == [("deleted", "Expired: its time is over")]
    assert await is_gone(kube, session)
    ended = await get(client, session)
    assert (ended["state"], ended["reason"]) == ("deleted", "Expired: its time is over")
    assert ended["cleanup"]["because"] == "retention"
    assert of(await cleanup(client), session["id"]) == []


async def test_an_idle_session_is_ended_and_says_so_before(
    client: Client, store: SqliteStore, kube: KubeApi
) -> None:
    session = await client.create(idle_seconds=600)
    stored = await store.get(session["id"])
    assert stored is not None
    assert session["cleanup"] == {
        "at": stored.idle_at.isoformat().replace("+00:00", "Z"),
        "because": "idle",
    }
    await idle(store, session)
    report = await cleanup(client)
    assert of(report, session["id"]) == [("deleted", "Idle: no work for 600 seconds")]
    assert await is_gone(kube, session)


@pytest.mark.parametrize(
    "command",
    [
        ["sleep", "60"],
        "(setsid sh -c '>/tmp/on; while :; do sleep 1; done' >/dev/null 2>&1 &);"
        "until [ -e /tmp/on ]; do sleep 0.1; done",
    ],
    ids=["running", "left behind in a session of its own"],
)
async def test_a_process_in_the_pod_is_work(
    client: Client, store: SqliteStore, command: list[str] | str
) -> None:
    session = await client.create()
    running = asyncio.create_task(client.stream(session, command, timeout_seconds=60))
    if isinstance(command, str):
        await running
    else:
        await _begun(client, session)
    await idle(store, session)
    report = await cleanup(client)
    assert [action for action, _ in of(report, session["id"])] == ["in_use"]
    now = await get(client, session)
    assert now["state"] == "running"
    assert datetime.fromisoformat(now["last_used_at"]) > datetime.now(UTC) - timedelta(minutes=1)
    await client.delete(session)
    await asyncio.gather(running, return_exceptions=True)


async def _begun(client: Client, session: Json) -> None:
    """Waits until the other command is seen by one of ours."""
    script = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '"
    async with asyncio.timeout(PATIENCE):
        while "sleep 60 " not in (await client.execute(session, ["sh", "-c", script]))["stdout"]:
            await asyncio.sleep(0.1)


async def test_a_job_is_work_and_its_end_begins_the_idle_time(client: Client, store: SqliteStore) -> None:
    session = await client.create(idle_seconds=600)
    path = f"/v1/sessions/{session['id']}/jobs"
    status, job, _ = await client.call("POST", path, {"command": "echo $$ >/tmp/pid; exec sleep 600"})
    assert status == 201, job
    await idle(store, session)
    assert [action for action, _ in of(await cleanup(client), session["id"])] == ["in_use"]
    stored = await store.get(session["id"])
    assert stored is not None
    await client.execute(session, "until [ -s /tmp/pid ]; do sleep 0.1; done; kill $(cat /tmp/pid)")
    async with asyncio.timeout(PATIENCE):
        while (await client.execute(session, "ls -d /var/lib/gamgui/jobs/*/end 2>/dev/null; true"))[
            "stdout"
        ] == "":
            await asyncio.sleep(0.1)
    await idle(store, session)
    assert of(await cleanup(client), session["id"]) == [("in_use", "a job has ended since")]
    await idle(store, session)
    assert [action for action, _ in of(await cleanup(client), session["id"])] == ["deleted"]


async def test_a_session_whose_pod_is_gone_has_failed(client: Client, kube: KubeApi) -> None:
    gone, whole = [await client.create() for _ in range(2)]
    await kube.request("DELETE", pod_path(gone), body={"gracePeriodSeconds": 0})
    await expect_only_this_has_failed(client, gone, whole)


# In a process group, process 1 is the machine's.
@needs_here("namespaces")
async def test_a_session_whose_pod_has_ended_has_failed(client: Client, kube: KubeApi) -> None:
    ended, whole = [await client.create() for _ in range(2)]
    await client.execute(ended, ["sh", "-c", "kill -TERM 1"])
    async with asyncio.timeout(PATIENCE):
        while (await kube.request("GET", pod_path(ended)))["status"]["phase"] == "Running":
            await asyncio.sleep(0.1)
    await expect_only_this_has_failed(client, ended, whole)


async def expect_only_this_has_failed(client: Client, broken: Json, whole: Json) -> None:
    """Cleanup says so, and leaves the other as it is."""
    report = await cleanup(client)
    assert [action for action, _ in of(report, broken["id"])] == ["failed"]
    assert of(report, whole["id"]) == []
    assert [(await get(client, one))["state"] for one in (broken, whole)] == ["failed", "running"]
    await client.delete(whole)


async def test_a_pod_of_no_session_is_an_orphan_and_so_is_such_a_secret(
    client: Client, kube: KubeApi, place: Place
) -> None:
    labels = {"app.kubernetes.io/managed-by": "gamgui", "gamgui.io/session": "saaaaaaaaaaaaaaaa"}
    core = f"/api/v1/namespaces/{place.namespace}"
    session = await client.create()
    pod = await kube.request("GET", pod_path(session))
    labels["gamgui.io/installation"] = pod["metadata"]["labels"]["gamgui.io/installation"]
    orphan: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "orphan", "labels": labels},
        "spec": {name: pod["spec"][name] for name in ("containers", "volumes", "securityContext")},
    }
    orphan["spec"]["containers"] = [
        {name: value for name, value in item.items() if name != "volumeMounts"}
        for item in orphan["spec"]["containers"]
    ]
    orphan["spec"]["volumes"] = []
    strangers = {"name": "stranger", "labels": {"app.kubernetes.io/managed-by": "somebody"}}
    await kube.request("POST", f"{core}/pods", body=orphan)
    for metadata in ({"name": "orphan", "labels": labels}, strangers):
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
        await kube.request("POST", f"{core}/secrets", body=secret)
    await asyncio.sleep(2.1)  # older than ORPHAN_GRACE_SECONDS, by times that are whole seconds
    report = await cleanup(client)
    assert report["orphans"] == {"pod": 1, "secret": 1}
    secrets = await kube.request("GET", f"{core}/secrets")
    assert [item["metadata"]["name"] for item in secrets["items"] if item["type"] == "Opaque"] == ["stranger"]
    assert (await get(client, session))["state"] == "running"
    await client.delete(session)


async def test_only_the_scheduler_may_run_cleanup(client: Client) -> None:
    status, problem, _ = await client.call("POST", "/v1/cleanup")
    assert (status, problem["reason"]) == (403, "CLEANUP_NOT_ALLOWED")


async def test_two_runs_at_once_end_the_same_sessions_once(client: Client, store: SqliteStore) -> None:
    sessions = [await client.create() for _ in range(3)]
    for session in sessions:
        await idle(store, session)
    reports = await asyncio.gather(cleanup(client), cleanup(client))
    for session in sessions:
        done = [action for report in reports for action, _ in of(report, session["id"])]
        assert done.count("deleted") <= 1
    # One run may see that the other looks, or may not get to ask a pod in time: the next one ends it.
    async with asyncio.timeout(PATIENCE):
        while left := [one for one in sessions if (await get(client, one))["state"] != "deleted"]:
            for session in left:
                await idle(store, session)
            await cleanup(client)


async def test_credentials_that_nobody_used_for_so_long_go_and_a_live_session_keeps_them(
    client: Client, kube: KubeApi, place: Place, store: SqliteStore
) -> None:
    installation = await StoredInstallation(store.engine).id()
    gone, busy = client.as_user("gone@example.com"), client.as_user("busy@example.com")
    paths = []
    for owner in (gone, busy):
        url, headers = f"{owner.url}/v1/credentials/oauth2.txt", {"X-Dev-User": owner.user}
        async with owner.http.put(url, data=gam_files("old")["oauth2.txt"], headers=headers) as answer:
            assert answer.status == 200
        path = f"/api/v1/namespaces/{place.namespace}/secrets/{credentials_name(owner.user, installation)}"
        secret = await kube.request("GET", path)
        long_ago = (datetime.now(UTC) - timedelta(days=91)).isoformat()
        secret["metadata"]["annotations"]["gamgui.io/updated-oauth2.txt"] = long_ago
        await kube.request("PUT", path, body=secret)
        paths.append(path)
    session = await busy.create()
    name = credentials_name(gone.user, installation)
    dry = await cleanup(client, "?dry_run=true")
    assert (dry["credentials"], of(dry, name)) == ({"deleted": 1}, [("deleted", "unused for 90 days")])
    assert (await kube.request("GET", paths[0]))["data"]
    report = await cleanup(client)
    assert (report["credentials"], of(report, name)) == ({"deleted": 1}, [("deleted", "unused for 90 days")])
    with pytest.raises(ApiError, match="404"):
        await kube.request("GET", paths[0])
    assert (await kube.request("GET", paths[1]))["data"]
    await busy.delete(session)
    assert (await cleanup(client))["credentials"] == {"deleted": 0}  # he had a session a moment ago
    assert (await busy.call("DELETE", "/v1/credentials"))[0] == 200
