"""Writes the audit records of all use cases: who did what to which session."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from types import TracebackType
from typing import Final, TypeAlias

from shared.core import ids
from shared.core.audit.evidence import Evidence
from shared.core.audit.model import NO_SESSION, AuditRecord
from shared.core.audit.ports import Audited, AuditLog
from shared.core.clock import Clock
from shared.core.person import Person
from shared.errors import GamguiError, InternalError

Detail: TypeAlias = Mapping[str, str | int | None]

STARTED = "started"
CANCELLED = "cancelled"


class Act:
    """Something that somebody does. It is used as a block and recorded once, however the block ends.

    The block ends when its record is kept, even if the task that waits for it is cancelled: a server that is
    told to end waits for what still runs, and an instance that has answered may get no CPU time until the
    next request (https://cloud.google.com/run/docs/configuring/billing-settings).

    Keeping a record takes milliseconds, which would delay a short command. So the record of a command is
    announced: it is kept as ``started`` while the command runs, and again with the outcome at the end of the
    block, which alone waits for it. If an instance dies in between, its record still says ``started``, and
    none is missing.

    Attributes:
        detail: Further facts; never stdin, credentials or tokens.
        outcome: The outcome if the block raises nothing.
    """

    def __init__(self, log: AuditLog, record: AuditRecord) -> None:
        self.detail = dict(record.detail)
        self.outcome = record.outcome
        self._log = log
        self._record = record
        self._announcing: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None

    def announce(self) -> None:
        """Starts to record that the act has begun, while the block goes on."""
        self._announcing = asyncio.create_task(
            self._log.announce(dataclasses.replace(self._record, outcome=STARTED))
        )

    async def end(self, outcome: str) -> None:
        """Records the outcome before the block ends. An announced record is kept when this returns."""
        if self._keeping is not None:
            return
        if self._announcing is not None:
            await _done(self._announcing)
        record = dataclasses.replace(self._record, outcome=outcome, detail=self.detail)
        self._keeping = asyncio.create_task(self._log.record(record))

    async def __aenter__(self) -> Act:
        """The act itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Records the end, unless ``end`` has done so, and waits until the record is kept."""
        await _done(asyncio.create_task(self._kept(self.outcome if error is None else outcome_of(error))))

    async def _kept(self, outcome: str) -> None:
        await self.end(outcome)
        assert self._keeping is not None, "end() makes it"
        await self._keeping


CLEANUP: Final = Person(subject="cleanup", email="cleanup")
"""The actor of acts that no caller asked for."""


class Auditor:
    """Writes audit records.

    Args:
        log: Takes the records.
        clock: The time of day.
    """

    def __init__(self, log: AuditLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    def act(self, session: Audited | None, actor: Person, action: str, detail: Detail | None = None) -> Act:
        """An act that begins now, to be used with ``async with``.

        Args:
            session: The session that is acted on; None: the act concerns what an owner has outside of
                sessions.
            actor: The person who acts.
            action: Name of the action, such as ``session.exec``.
            detail: Further facts; never stdin, credentials or tokens.
        """
        return Act(self._log, self._new(session, actor, action, "done", detail or {}))

    async def evidence(self) -> Evidence:
        """Collects the facts for the record of a command that is about to run."""
        return Evidence(await self._log.digest_key())

    async def record(
        self, session: Audited | None, actor: Person, action: str, outcome: str, **detail: str | int | None
    ) -> None:
        """Records an act that is over; see ``act``.

        Args:
            session: The session that was acted on, or None.
            actor: The person who acted.
            action: Name of the action.
            outcome: How the act ended.
            detail: Further facts.
        """
        record = self._new(session, actor, action, outcome, detail)
        await _done(asyncio.create_task(self._log.record(record)))

    def _new(
        self, session: Audited | None, actor: Person, action: str, outcome: str, detail: Detail
    ) -> AuditRecord:
        return AuditRecord(
            id=ids.new_record_id(),
            at=self._clock.now(),
            actor=actor.email,
            actor_subject=actor.subject,
            action=action,
            session_id=session.id if session else NO_SESSION,
            outcome=outcome,
            detail=detail,
        )


def outcome_of(error: BaseException) -> str:
    """The outcome of an act that ended with this error."""
    if isinstance(error, GamguiError):
        return error.reason
    return InternalError.default_reason if isinstance(error, Exception) else CANCELLED


async def _done(task: asyncio.Task[None]) -> None:
    """Waits for the end of a short task, even when the waiting task is cancelled meanwhile."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
