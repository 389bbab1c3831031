"""Who may only read the store by Terraform writes nothing, and who may write does.

Every function does all that it can: each of its routes, for each kind of caller, on a session in
each state. The store notes who writes; for those that may not it refuses, as Firestore does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from server.functions import function_list
from shared.app.composition import App
from shared.app.instance import SystemClock
from shared.core import ids
from shared.core.jobs.model import Job, JobState
from shared.core.sessions import names
from shared.core.sessions.model import Resources, Session, SessionState
from shared.errors import StoreUnavailable
from shared.reasons import Reason
from shared.settings import Settings
from shared.store.engine import Engine
from shared.web.http.routing import Route
from tests.support.laptop import ROOT
from tests.support.stores import SqliteStore
from tests.support.terraform import PLATFORM, resources
from tests.support.web_app import ask, serving

FUNCTIONS = sorted(source.parent.name for source in (ROOT / "functions").glob("*/main.py"))
OWNER, ADMINISTRATOR, STRANGER = "ann@example.com", "root@example.com", "eve@example.com"
READS = {"get", "find", "count", "group", "close"}
"""Every other method of an engine counts as a write."""

LONG_AGO = timedelta(hours=1)
JOB = {"command": "true"}
BODIES: dict[str, dict[str, Any]] = {
    "POST /v1/sessions": {"json": {}},
    "PATCH /v1/sessions/{session_id}": {"json": {"name": "another"}},
    "POST /v1/sessions/{session_id}/exec": {"json": {"command": ["true"]}},
    "POST /v1/sessions/{session_id}/jobs": {"json": JOB},
    "POST /v1/owners/{email}/rebind": {"json": {"subject": "google:42"}},
}
SETTINGS = {
    "AUTH_MODE": "dev",
    "SESSION_STORE": "sqlite",
    "SESSION_IMAGE": "gam:7",
    "USE_MOCK_CONTAINER_ADAPTER": "true",
    "ADMIN_EMAILS": ADMINISTRATOR,
    "CLEANUP_CALLERS": OWNER,
}


class Watched:
    """An ``Engine`` that notes what writes, and may refuse it.

    Args:
        engine: Does the work.
        writes: Takes the names of the methods that write.
        refuses: Whether they fail.
    """

    def __init__(self, engine: Engine, writes: list[str], *, refuses: bool) -> None:
        self._engine, self._writes, self._refuses = engine, writes, refuses

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._engine, name)
        return found if name in READS else self._write(name, found)

    def _write(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        async def write(*arguments: Any, **options: Any) -> Any:
            self._writes.append(name)
            if self._refuses:
                raise StoreUnavailable("Missing or insufficient permissions.", reason=Reason.STORE_FORBIDDEN)
            return await method(*arguments, **options)

        return write


@dataclasses.dataclass
class Instance:
    """One function, and what it wrote."""

    routes: Sequence[Route]
    store: SqliteStore
    writes: list[str]
    app: App

    async def use(self) -> dict[str, list[int]]:
        """Does all that the function can; answers the statuses by route."""
        application, answers = serving(self.routes, lambda: self.app), {}
        for route in self.routes:
            named = f"{route.method} {route.path}"
            answers[named] = [
                (
                    await self._call(application, route, BODIES.get(named, {"content": b"x"}), *case)
                ).status_code
                for case in itertools.product((OWNER, ADMINISTRATOR, STRANGER), SessionState)
            ]
        return answers

    async def _call(
        self, application: Any, route: Route, body: dict[str, Any], caller: str, state: SessionState
    ) -> httpx.Response:
        session, job = await self._seed(state)
        path = route.path_format.format(
            session_id=session.id, job_id=job.id, path="a", file="oauth2.txt", name="oauth2.txt", email=OWNER
        )
        if route.method in ("GET", "HEAD", "DELETE"):
            body = {}
        query = "?owner=*" if caller == ADMINISTRATOR and route.path == "/v1/sessions" else ""
        headers = {"X-Dev-User": caller}
        return await ask(application, path + query, method=route.method, headers=headers, **body)

    async def _seed(self, state: SessionState) -> tuple[Session, Job]:
        """A session in this state that was not used lately, with a job of which the end is not known."""
        session_id, before = ids.new_session_id(), datetime.now(UTC) - LONG_AGO
        session = await self.store.create(
            Session(
                id=session_id,
                owner=OWNER,
                name=session_id,
                state=SessionState.PENDING,
                image="gam:7",
                resources=Resources("1", "1Gi"),
                labels={},
                cluster="virtual",
                namespace="gamgui",
                pod_name=names.pod_name(session_id),
                created_at=before,
                last_used_at=before,
                expires_at=before + 3 * LONG_AGO,
                idle_seconds=int(3 * LONG_AGO.total_seconds()),
                virtual=True,
            )
        )
        if state is not SessionState.PENDING:
            session = await self.store.update(dataclasses.replace(session, state=state))
        job = Job(
            id=ids.new_job_id(),
            session_id=session_id,
            owner=OWNER,
            name="job",
            command="true",
            state=JobState.RUNNING,
            created_at=before,
            timeout_seconds=60,
        )
        return session, await self.store.create_job(job)


def module_of(function: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        f"store_roles_{function}", ROOT / f"functions/{function}/main.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.asynccontextmanager
async def instance(function: str, folder: Path, *, refuses: bool) -> AsyncIterator[Instance]:
    """The function on a virtual cluster, and a store that watches it."""
    store = SqliteStore(folder / f"{refuses}.db", clock=SystemClock())
    writes: list[str] = []
    app = App(Settings.from_env({**SETTINGS, "SQLITE_PATH": str(folder / "unused.db")}))
    app.__dict__["engine"] = Watched(store.engine, writes, refuses=refuses)
    module = module_of(function)
    vars(module)["app"] = lambda: app
    try:
        yield Instance(module.ENTRY.routes, store, writes, app)
    finally:
        await app.close()


def may_write(function: str) -> bool:
    """What Terraform gives it: Datastore User, or Datastore Viewer."""
    return bool(function_list()[function].get("writes", True))


@pytest.mark.parametrize("function", FUNCTIONS)
async def test_a_function_writes_if_and_only_if_it_may(function: str, tmp_path: Path) -> None:
    async with instance(function, tmp_path, refuses=False) as used:
        await used.use()
    assert bool(used.writes) == may_write(function), sorted(set(used.writes))


async def test_who_may_only_read_answers_as_if_it_might_write(tmp_path: Path) -> None:
    readers = [name for name in FUNCTIONS if not may_write(name)]
    assert readers
    for function in readers:
        async with instance(function, tmp_path / function, refuses=False) as free:
            expected = await free.use()
        async with instance(function, tmp_path / function, refuses=True) as bound:
            assert await bound.use() == expected, function
        assert {200} <= {status for statuses in expected.values() for status in statuses}


def test_terraform_gives_the_roles_that_the_map_says() -> None:
    store = resources(PLATFORM)["google_project_iam_member.store"]
    assert store["role"] == '${each.value.writes ? "roles/datastore.user" : "roles/datastore.viewer"}'
    assert store["for_each"] == "${local.functions}"


def test_docs_say_who_may_write() -> None:
    rows = dict.fromkeys(FUNCTIONS, "")
    for line in (ROOT / "docs/deploy.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[1] in ("`roles/datastore.user`", "`roles/datastore.viewer`"):
            for name in cells[0].replace("`", "").split(", "):
                rows[name] = cells[1].strip("`")
    expected = {f: "roles/datastore.user" if may_write(f) else "roles/datastore.viewer" for f in FUNCTIONS}
    assert rows == expected
