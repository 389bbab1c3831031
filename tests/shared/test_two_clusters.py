"""Two clusters, one store: what instances on either do to sessions of the other, on local clusters."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.namespace import ensure_namespace
from shared.app.composition import App
from shared.app.readiness import readiness
from shared.core.cleanup.report import Action
from shared.core.commands import Command, Exit
from shared.core.files.paths import WorkspacePath
from shared.core.files.upload import Body
from shared.core.ids import new_job_id
from shared.core.jobs.model import JobCursor, NewJob
from shared.core.sessions.model import Resources, Session, SessionState
from shared.core.sessions.new_session import NewSession
from shared.core.sessions.pod import PodPhase
from shared.errors import GamguiError
from shared.reasons import Reason
from shared.settings import Settings
from tests.support import laptop
from tests.support.kubectl import kubectl, needs_kubectl
from tests.support.people import ALICE, ROOT

S = SessionState
ELSEWHERE = "ON_ANOTHER_CLUSTER"
NEW = NewSession(
    name="",
    image="localhost/busybox:1",
    resources=Resources("10m", "16Mi"),
    labels={},
    env={},
    ttl_seconds=3600,
    idle_seconds=1800,
    wait_seconds=300,
)
JOB = NewJob(name="", argv=["true"], command=["true"], env={}, workdir="", stdin=b"", timeout_seconds=None)


class Later:
    """A clock that is ahead."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead


@pytest.fixture(scope="module")
def kubeconfigs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("clusters")
    with laptop.local_cluster(folder / "a") as a, laptop.local_cluster(folder / "b") as b:
        down = Path(a).read_text()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        address = next(line for line in down.splitlines() if "server:" in line)
        nobody = folder / "down.kubeconfig"
        nobody.write_text(down.replace(address, f"    server: https://127.0.0.1:{port}"))
        yield {"a": a, "b": b, "down": str(nobody)}


@dataclasses.dataclass
class Instances:
    """Makes instances of the functions, all with one store."""

    kubeconfigs: dict[str, str]
    folder: Path

    @contextlib.asynccontextmanager
    async def on(self, cluster: str, later: timedelta = timedelta()) -> AsyncIterator[App]:
        """An instance that is connected to this cluster, some time from now."""
        settings = {
            "AUTH_MODE": "dev",
            "SESSION_STORE": "sqlite",
            "SQLITE_PATH": str(self.folder / "sessions.db"),
            "KUBECONFIG": self.kubeconfigs[cluster],
            "SESSION_IMAGE": NEW.image,
            "ADMIN_EMAILS": ROOT.email,
            "CLEANUP_SECONDS": "60",
            "ORPHAN_GRACE_SECONDS": "1",
        }
        app = App(Settings.from_env(settings))
        app.__dict__["clock"] = Later(later)
        try:
            if cluster != "down":
                await ensure_namespace(app)
            yield app
        finally:
            await app.close()


@pytest.fixture
def instances(kubeconfigs: dict[str, str], tmp_path: Path) -> Instances:
    return Instances(kubeconfigs, tmp_path)


async def command(app: App, session: Session) -> Exit:
    running = app.sessions.execute(ALICE, session.id, Command(argv=["true"], timeout_seconds=60))
    async with contextlib.aclosing(running) as events:
        *_, end = [event async for event in events]
    assert isinstance(end, Exit)
    return end


async def refused(doing: Awaitable[object]) -> str:
    with pytest.raises(GamguiError) as caught:
        await doing
    assert caught.value.status == 503
    return caught.value.reason


async def nothing() -> AsyncIterator[bytes]:
    pieces: tuple[bytes, ...] = ()
    for piece in pieces:
        yield piece


async def alive(app: App, session: Session) -> bool:
    return (await app.runtime.status(session)).phase is PodPhase.READY


async def test_a_wrong_cluster_ends_nothing_and_says_so(instances: Instances) -> None:
    async with instances.on("a") as a, instances.on("b") as b:
        session = await a.sessions.create(ALICE, NEW)
        job = await a.jobs.start(ALICE, session.id, JOB, new_job_id())
        report = await b.cleanup.run(dry_run=False)
        stored = await a.store.sessions.get(session.id)
        assert stored is not None
        assert stored.state is S.RUNNING
        assert report.count("session", Action.LEFT) == 1
        assert next(one.because for one in report.decisions if one.name == session.id).startswith(ELSEWHERE)
        shown = await b.sessions.get(ALICE, session.id)
        assert (shown.state, shown.reason) == (S.RUNNING, ELSEWHERE)
        folder, file = WorkspacePath.from_url(b""), WorkspacePath.from_url(b"file")
        for doing in (
            command(b, session),
            b.jobs.start(ALICE, session.id, JOB, new_job_id()),
            b.jobs.list_jobs(ALICE, session.id, limit=1, after=None),
            b.jobs.get(ALICE, session.id, job.id),
            anext(b.jobs.output(ALICE, session.id, job.id, JobCursor(), wait=True)),
            b.jobs.cancel(ALICE, session.id, job.id),
            b.files.entries(ALICE, session.id, folder, limit=1, after=b""),
            b.files.archive(ALICE, session.id, folder),
            b.files.unpack(ALICE, session.id, folder, Body(source=nothing())),
            b.files.open(ALICE, session.id, file),
            b.files.put(ALICE, session.id, file, Body(source=nothing())),
            b.files.delete(ALICE, session.id, file),
            b.credentials.refresh(ALICE, session.id),
            b.sessions.delete(ALICE, session.id),
        ):
            assert await refused(doing) == ELSEWHERE
        deleting = await b.store.sessions.get(session.id)
        assert deleting is not None
        assert deleting.state is S.DELETING
        assert await alive(a, session)
    async with instances.on("b", timedelta(minutes=2)) as b:
        await b.cleanup.run(dry_run=False)
        assert (await b.sessions.get(ALICE, session.id)).state is S.DELETING
    async with instances.on("a", timedelta(minutes=2)) as a:
        await a.cleanup.run(dry_run=False)
        assert (await a.sessions.get(ALICE, session.id)).state is S.DELETED
        assert (await a.runtime.status(session)).phase is PodPhase.GONE


@needs_kubectl
async def test_who_has_no_rights_in_the_cluster_says_which_one_others_have_met(
    instances: Instances, tmp_path: Path
) -> None:
    async with instances.on("a") as health:
        assert "identity" not in (await readiness(health))["checks"]["cluster"]
        async with instances.on("a") as a:
            session = await a.sessions.create(ALICE, NEW)
        kubeconfig = instances.kubeconfigs["a"]
        uid = ("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
        _, shown, _ = await kubectl(kubeconfig, *uid)
        assert (await readiness(health))["checks"]["cluster"]["identity"] == f"kube-system:{shown}"
        assert session.cluster_identity == f"kube-system:{shown}"
        assert (await health.sessions.delete(ALICE, session.id)).state is S.DELETED


async def test_there_and_back_again(instances: Instances) -> None:
    """A deploy with the name of another cluster, one with that of none, and then the right one."""
    async with instances.on("a") as a:
        session = await a.sessions.create(ALICE, NEW)
        lived = await command(a, session)
    assert lived.exit_code == 0
    for cluster in ("b", "down"):
        async with instances.on(cluster) as other:
            await other.cleanup.run(dry_run=False)
            assert await refused(command(other, session))
            stored = await other.store.sessions.get(session.id)
            assert stored is not None
            assert (stored.state, stored.reason) == (S.RUNNING, None)
    async with instances.on("a") as a:
        assert (await a.sessions.get(ALICE, session.id)).reason is None
        assert (await command(a, session)).exit_code == 0
        assert (await a.sessions.delete(ALICE, session.id)).state is S.DELETED


async def test_two_instances_clean_up_each_its_own_at_once(instances: Instances) -> None:
    async with instances.on("a") as a, instances.on("b") as b:
        on_a = await asyncio.gather(*(a.sessions.create(ALICE, NEW) for _ in range(3)))
        on_b = await asyncio.gather(*(b.sessions.create(ALICE, NEW) for _ in range(3)))
        reports = await asyncio.gather(*(one.cleanup.run(dry_run=False) for one in (a, b, a, b)))
        assert sum(report.count("session", Action.FAILED) for report in reports) == 0
        for app, sessions in ((a, on_a), (b, on_b)):
            assert [(await command(app, one)).exit_code for one in sessions] == [0, 0, 0]
    later = timedelta(seconds=NEW.ttl_seconds)
    async with instances.on("a", later) as a, instances.on("b", later) as b:
        await asyncio.gather(*(one.cleanup.run(dry_run=False) for one in (a, b)))
        for app, sessions in ((a, on_a), (b, on_b)):
            for one in sessions:
                assert (await app.sessions.get(ALICE, one.id)).state is S.DELETED
                assert (await app.runtime.status(one)).phase is PodPhase.GONE


async def test_an_administrator_abandons_what_nobody_sees_and_it_is_removed_when_somebody_does(
    instances: Instances,
) -> None:
    async with instances.on("a") as a, instances.on("b") as b:
        session = await a.sessions.create(ALICE, NEW)
        with pytest.raises(GamguiError) as caught:
            await b.sessions.delete(ALICE, session.id, abandon=True)
        assert caught.value.reason == Reason.NOT_AN_ADMINISTRATOR
        gone = await b.sessions.delete(ROOT, session.id, abandon=True)
        assert (gone.state, gone.may_be_left) == (S.DELETED, (f"pod/{session.pod_name}",))
        assert gone.reason is not None
        assert f"pod/{session.pod_name}" in gone.reason
        (record, *_) = await b.store.audit.list_records(session.id, limit=1, after=None)
        assert (record.actor, record.action, record.outcome) == (ROOT.email, "session.delete", "deleted")
        assert record.detail["may_be_left"] == f"pod/{session.pod_name}"
        assert await alive(a, session)
        await a.cleanup.run(dry_run=False)
        assert await a.runtime.delete(session, 60)  # which waits until it is gone
        stored = await a.store.sessions.get(session.id)
        assert stored is not None
        assert (stored.state, stored.may_be_left) == (S.DELETED, ())


async def test_a_kubeconfig_that_leads_elsewhere_during_an_instances_life_ends_nothing(
    instances: Instances, tmp_path: Path
) -> None:
    """The cluster behind the address goes, and what is found when it is looked up again is another one."""
    changing = tmp_path / "changing.kubeconfig"
    shutil.copy(instances.kubeconfigs["a"], changing)
    instances.kubeconfigs = {**instances.kubeconfigs, "changing": str(changing)}
    async with instances.on("a") as a, instances.on("changing") as app:
        session = await app.sessions.create(ALICE, NEW)
        shutil.copy(instances.kubeconfigs["b"], changing)
        app.kube._connector.invalidate(await app.kube.connection())
        shown = await app.sessions.get(ALICE, session.id)
        assert (shown.state, shown.reason) == (S.RUNNING, ELSEWHERE)
        assert await refused(command(app, session)) == ELSEWHERE
        await app.cleanup.run(dry_run=False)
        assert (await a.sessions.delete(ALICE, session.id)).state is S.DELETED
