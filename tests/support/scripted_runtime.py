"""A runtime that does what a test tells it, and a store that keeps a journal beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

from shared.core.audit.model import AuditRecord
from shared.core.commands import Command, ExecEvent, ExecResult, Exit, Started
from shared.core.paging import Cursor
from shared.core.sessions.model import Session, SessionState
from shared.core.sessions.pod import ConnectionInfo, PodPhase, PodStatus
from shared.core.sessions.ports import SessionStore
from shared.core.sessions.share import OwnerShare
from shared.errors import GamguiError

READY = PodStatus(PodPhase.READY)
Hook = Callable[[Session], Awaitable[Any]]


async def _nothing(_: Session) -> None:
    return None


@dataclasses.dataclass(slots=True, kw_only=True)
class ScriptedRuntime:
    """A ``PodRuntime`` whose answers are attributes. Pods are the ids in ``pods``.

    Attributes:
        journal: What was asked of it, in order, e.g. ``runtime.create``.
        connect_error: Raised by ``connect``.
        create_error: Raised by ``create``, which then makes no pod.
        ready: Answer of ``wait_ready``, or what it raises.
        now: Answer of ``status``, or what it raises.
        delete_error: Raised by ``delete``.
        goes: Whether a deleted pod is gone when ``delete`` returns.
        events: What a command says before it exits with 0.
        commands: What it was asked to run.
        during: Awaited with the session within the operation of that name, before it acts.
    """

    journal: list[str] = dataclasses.field(default_factory=list)
    pods: set[str] = dataclasses.field(default_factory=set)
    method: str = "scripted"
    connect_error: GamguiError | None = None
    create_error: Exception | None = None
    ready: PodStatus | Exception = READY
    now: PodStatus | Exception = READY
    delete_error: GamguiError | None = None
    goes: bool = True
    events: Sequence[ExecEvent] = (Started(1),)
    execute_error: Exception | None = None
    during: dict[str, Hook] = dataclasses.field(default_factory=dict)
    commands: list[Command] = dataclasses.field(default_factory=list)
    closed_commands: int = 0

    async def connect(self) -> ConnectionInfo:
        if self.connect_error is not None:
            raise self.connect_error
        return ConnectionInfo(self.method, f"{self.method}-cluster")

    async def create(self, session: Session) -> str:
        await self._begin("create", session)
        if self.create_error is not None:
            raise self.create_error
        self.pods.add(session.id)
        return "41"

    async def wait_ready(self, session: Session, timeout_seconds: float, since: str = "") -> PodStatus:
        await self._begin("wait_ready", session, f"({timeout_seconds:g}s since {since})")
        return _given(self.ready)

    async def status(self, session: Session) -> PodStatus:
        await self._begin("status", session)
        return _given(self.now)

    async def delete(self, session: Session, timeout_seconds: float) -> bool:
        await self._begin("delete", session)
        if self.delete_error is not None:
            raise self.delete_error
        if self.goes:
            self.pods.discard(session.id)
        return self.goes

    async def execute(self, session: Session, command: Command) -> AsyncGenerator[ExecEvent, None]:
        await self._begin("execute", session)
        self.commands.append(command)
        try:
            for event in self.events:
                yield event
            if self.execute_error is not None:
                raise self.execute_error
            yield Exit(result=ExecResult.EXITED, exit_code=0)
        finally:
            self.closed_commands += 1

    async def ping(self) -> None:
        if self.connect_error is not None:
            raise self.connect_error

    async def close(self) -> None:
        return None

    async def _begin(self, name: str, session: Session, more: str = "") -> None:
        self.journal.append(f"runtime.{name}{more}")
        await self.during.get(name, _nothing)(session)


def _given(answer: PodStatus | Exception) -> PodStatus:
    if isinstance(answer, Exception):
        raise answer
    return answer


class JournalingStore:
    """A ``SessionStore`` that notes each write of a session, then does it in another store.

    Args:
        store: Does the work.
        journal: Takes ``store.create pending`` and the like.
    """

    def __init__(self, store: SessionStore, journal: list[str]) -> None:
        self._store = store
        self._journal = journal
        self.fail_updates: GamguiError | None = None
        self.before_update: Hook = _nothing

    async def create(
        self, session: Session, *, limit: int | None = None, share: OwnerShare | None = None
    ) -> Session:
        self._journal.append(f"store.create {session.state}")
        return await self._store.create(session, limit=limit, share=share)

    async def get(self, session_id: str) -> Session | None:
        return await self._store.get(session_id)

    async def update(self, session: Session) -> Session:
        self._journal.append(f"store.update {session.state}")
        if self.fail_updates is not None:
            raise self.fail_updates
        await self.before_update(session)
        return await self._store.update(session)

    async def list_sessions(
        self, owner: str | None, *, state: SessionState | None, limit: int, after: Cursor | None
    ) -> Sequence[Session]:
        return await self._store.list_sessions(owner, state=state, limit=limit, after=after)


class KeptAudit:
    """An ``AuditLog`` that keeps its records, and apart from them what was announced."""

    def __init__(self) -> None:
        self.announced: list[AuditRecord] = []
        self.records: list[AuditRecord] = []

    async def announce(self, record: AuditRecord) -> None:
        self.announced.append(record)

    async def record(self, record: AuditRecord) -> None:
        self.records.append(record)

    async def digest_key(self) -> bytes | None:
        return b"key"

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        """Action and outcome of each."""
        return [(record.action, record.outcome) for record in self.records]
