"""Two installations, one namespace: neither sees, changes or removes what is the other's."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local.namespace import ensure_namespace
from shared.app.composition import App
from shared.app.readiness import readiness
from shared.core.commands import Command, Output
from shared.core.files.paths import WorkspacePath
from shared.core.files.upload import Body
from shared.core.ids import new_job_id
from shared.core.jobs.model import NewJob
from shared.core.sessions.model import Resources, Session, SessionState
from shared.core.sessions.names import INSTALLATION_LABEL, credentials_name, owner_hash
from shared.core.sessions.new_session import NewSession
from shared.core.sessions.pod import PodPhase
from shared.errors import NotFound
from shared.settings import Settings
from tests.support import laptop
from tests.support.gam_files import gam_files
from tests.support.people import ALICE, BOB

FILE = "oauth2.txt"
NEW = NewSession(
    name="",
    image="localhost/busybox:1",
    resources=Resources("10m", "16Mi"),
    labels={},
    env={},
    ttl_seconds=24 * 3600,
    idle_seconds=24 * 3600,
    wait_seconds=300,
)
JOB = NewJob(name="", argv=["true"], command=["true"], env={}, workdir="", stdin=b"", timeout_seconds=None)
NOT_MADE_BY_US = ("events",)
"""The cluster makes these of itself."""


class Later:
    """A clock that a test sets ahead."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclasses.dataclass
class Installation:
    """One instance on a store of its own."""

    app: App
    clock: Later
    id: str

    async def cleanup(self, ahead: timedelta) -> set[str]:
        """Runs cleanup at a later time; returns the names of everything about which it decided something."""
        self.clock.ahead = ahead
        report = await self.app.cleanup.run(dry_run=False)
        self.clock.ahead = timedelta()
        assert report.faults == []
        return {one.name for one in report.decisions}

    async def alive(self, session: Session) -> bool:
        return (await self.app.runtime.status(session)).phase is PodPhase.READY

    async def others(self) -> list[str]:
        """What /readyz says."""
        cluster = (await readiness(self.app))["checks"]["cluster"]
        return list(cluster.get("other_installations", []))

    async def output(self, session: Session, script: str) -> bytes:
        command = Command(argv=["sh", "-c", script], timeout_seconds=300)
        running = self.app.sessions.execute(ALICE, session.id, command)
        async with contextlib.aclosing(running) as events:
            return b"".join([event.data async for event in events if isinstance(event, Output)])


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with laptop.local_cluster(tmp_path_factory.mktemp("cluster") / "a") as made:
        yield made


@contextlib.asynccontextmanager
async def installed(kubeconfig: str, store: Path, namespace: str) -> AsyncIterator[Installation]:
    settings = {
        "AUTH_MODE": "dev",
        "SESSION_STORE": "sqlite",
        "SQLITE_PATH": str(store),
        "KUBECONFIG": kubeconfig,
        "K8S_NAMESPACE": namespace,
        "SESSION_IMAGE": NEW.image,
        "CLEANUP_SECONDS": "300",
        "ORPHAN_GRACE_SECONDS": "1",
    }
    app, clock = App(Settings.from_env(settings)), Later()
    app.__dict__["clock"] = clock
    try:
        await ensure_namespace(app)
        yield Installation(app, clock, await app.store.installation.id())
    finally:
        await app.close()


async def secrets_of(app: App) -> dict[str, Any]:
    """The credentials' Secrets in the namespace, by name."""
    path = f"/api/v1/namespaces/{app.settings.pods.namespace}/secrets"
    found = await app.kube.request("GET", path, params=[("labelSelector", "gamgui.io/owner")])
    return {one["metadata"]["name"]: one for one in found["items"]}


async def test_neither_sees_changes_or_removes_what_is_the_others(kubeconfig: str, tmp_path: Path) -> None:
    async with (
        installed(kubeconfig, tmp_path / "a.db", "two") as a,
        installed(kubeconfig, tmp_path / "b.db", "two") as b,
    ):
        sessions = {}
        for one in (a, b):
            await one.app.credentials.put(ALICE, FILE, gam_files(one.id)[FILE])
            sessions[one.id] = await one.app.sessions.create(ALICE, NEW)
        names = {one.id: credentials_name(ALICE.email, one.id) for one in (a, b)}
        assert set(await secrets_of(a.app)) == set(names.values())
        for one, other in ((a, b), (b, a)):
            mine, theirs = sessions[one.id], sessions[other.id]
            assert await one.output(mine, f"cat ~/.gam/{FILE}") == gam_files(one.id)[FILE]
            listed, _ = await one.app.sessions.list_sessions(
                ALICE, owner=ALICE.email, state=None, limit=9, after=None
            )
            assert [found.id for found in listed] == [mine.id]
            for unseen in (one.app.sessions.get, one.app.sessions.delete):
                with pytest.raises(NotFound):
                    await unseen(ALICE, theirs.id)
            assert await one.others() == []
            decided = await one.cleanup(timedelta(hours=1))  # any orphan is old enough
            assert decided.isdisjoint({theirs.pod_name, theirs.id, names[other.id]})
            assert await one.others() == [other.id]
        assert await a.alive(sessions[a.id]) and await b.alive(sessions[b.id])

        kept = (await secrets_of(a.app))[names[b.id]]
        await a.app.credentials.delete(ALICE, None)
        assert await secrets_of(a.app) == {names[b.id]: kept}
        await a.app.credentials.put(ALICE, FILE, gam_files("again")[FILE])
        await a.app.sessions.delete(ALICE, sessions[a.id].id)
        assert names[a.id] in await a.cleanup(timedelta(days=400))  # unused, and b's have b's session
        assert await secrets_of(a.app) == {names[b.id]: kept}
        assert await a.others() == [b.id]  # by its pod and by its Secret

        await b.app.sessions.delete(ALICE, sessions[b.id].id)
        assert await b.app.runtime.delete(sessions[b.id], 300)
        await a.cleanup(timedelta(hours=1))
        assert await a.others() == [b.id]  # by its Secret alone
        await b.app.credentials.delete(ALICE, None)
        await a.cleanup(timedelta(hours=1))
        assert await a.others() == []


async def test_what_an_earlier_release_made_belongs_to_whoever_has_its_owners_sessions(
    kubeconfig: str, tmp_path: Path
) -> None:
    async with (
        installed(kubeconfig, tmp_path / "a.db", "old") as a,
        installed(kubeconfig, tmp_path / "b.db", "old") as b,
    ):
        for owner in (ALICE, BOB):
            long_ago = datetime.now(UTC) - timedelta(days=399)
            body = {
                "metadata": {
                    "name": credentials_name(owner.email),
                    "labels": {
                        "app.kubernetes.io/managed-by": "gamgui",
                        "gamgui.io/owner": owner_hash(owner.email),
                    },
                    "annotations": {f"gamgui.io/updated-{FILE}": long_ago.isoformat()},
                },
                "stringData": {FILE: gam_files("old")[FILE].decode()},
            }
            await a.app.kube.request("POST", "/api/v1/namespaces/old/secrets", body=body)
        session = await a.app.sessions.create(ALICE, NEW)
        assert await a.output(session, f"cat ~/.gam/{FILE}") == gam_files("old")[FILE]
        await a.app.sessions.delete(ALICE, session.id)
        old = {credentials_name(owner.email) for owner in (ALICE, BOB)}
        await b.cleanup(timedelta(days=400))
        assert set(await secrets_of(b.app)) == old
        await a.cleanup(timedelta(days=400))
        assert set(await secrets_of(a.app)) == {credentials_name(BOB.email)}
        await a.app.credentials.put(BOB, "oauth2service.json", gam_files("new")["oauth2service.json"])
        found = await secrets_of(a.app)
        assert set(found) == {credentials_name(BOB.email, a.id)}
        assert sorted(found[credentials_name(BOB.email, a.id)]["data"]) == [FILE, "oauth2service.json"]


async def everything(app: App) -> Mapping[str, Any]:
    """All objects of the cluster, of every kind that can be listed, by uid."""
    groups = (await app.kube.request("GET", "/apis"))["groups"]
    found: dict[str, Any] = {}
    for path in ("/api/v1", *(f"/apis/{one['preferredVersion']['groupVersion']}" for one in groups)):
        for kind in (await app.kube.request("GET", path))["resources"]:
            if "list" in kind["verbs"] and "/" not in kind["name"] and kind["name"] not in NOT_MADE_BY_US:
                items = (await app.kube.request("GET", f"{path}/{kind['name']}"))["items"]
                found |= {item["metadata"]["uid"]: (kind["name"], item["metadata"]) for item in items}
    return found


async def test_whatever_a_whole_journey_makes_says_which_installation_made_it(
    kubeconfig: str, tmp_path: Path
) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        yield b"content"

    async with installed(kubeconfig, tmp_path / "a.db", "journey") as a:
        app = a.app
        before = await everything(app)
        await app.credentials.put(ALICE, FILE, gam_files("one")[FILE])
        session = await app.sessions.create(ALICE, NEW)
        await a.output(session, "echo done")
        await app.files.put(ALICE, session.id, WorkspacePath.from_url(b"file"), Body(source=nothing()))
        await app.jobs.start(ALICE, session.id, JOB, new_job_id())
        await app.credentials.refresh(ALICE, session.id)
        await app.credential_store.rebind(ALICE.email, "google:42")
        await a.cleanup(timedelta(hours=1))
        made = {uid: one for uid, one in (await everything(app)).items() if uid not in before}
        assert {kind for kind, _ in made.values()} == {"pods", "secrets"}
        for kind, metadata in made.values():
            assert metadata["labels"][INSTALLATION_LABEL] == a.id, f"{kind} {metadata['name']}"
        stored = await app.store.sessions.get(session.id)
        assert stored is not None and stored.state is SessionState.RUNNING
        assert stored.secret_name == credentials_name(ALICE.email, a.id)
