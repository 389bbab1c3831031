"""The runtime of pods, and what it does is told. Made only where somebody listens."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from shared.core.clock import Clock
from shared.core.commands import Command, ExecEvent
from shared.core.sessions.model import Session, SessionState
from shared.core.sessions.pod import ConnectionInfo, PodPhase, PodStatus
from shared.core.sessions.ports import PodRuntime
from shared.core.telemetry import Telemetry
from shared.errors import GamguiError
from shared.reasons import Reason


class ToldRuntime:
    """A ``PodRuntime``; pods and commands are counted, and commands are spans.

    Args:
        runtime: Does the work.
        telemetry: Told of it.
        clock: The time of day.
    """

    def __init__(self, runtime: PodRuntime, telemetry: Telemetry, clock: Clock) -> None:
        self._runtime = runtime
        self._telemetry = telemetry
        self._clock = clock

    async def connect(self) -> ConnectionInfo:
        """See ``PodRuntime.connect``."""
        return await self._runtime.connect()

    async def create(self, session: Session) -> str:
        """See ``PodRuntime.create``."""
        try:
            position = await self._runtime.create(session)
        except GamguiError as error:
            self._telemetry.pod_failed(error.reason)
            raise
        self._telemetry.pod_created()
        return position

    async def wait_ready(self, session: Session, timeout_seconds: float, since: str = "") -> PodStatus:
        """See ``PodRuntime.wait_ready``."""
        status = await self._runtime.wait_ready(session, timeout_seconds, since)
        if status.phase is PodPhase.READY:
            waited = self._clock.now() - session.created_at
            self._telemetry.pod_ready(waited.total_seconds())
        self._failures(session, status)
        return status

    async def status(self, session: Session) -> PodStatus:
        """See ``PodRuntime.status``."""
        status = await self._runtime.status(session)
        self._failures(session, status)
        return status

    async def execute(self, session: Session, command: Command) -> AsyncGenerator[ExecEvent, None]:
        """See ``PodRuntime.execute``."""
        with self._telemetry.exec():
            async with contextlib.aclosing(self._runtime.execute(session, command)) as events:
                async for event in events:
                    yield event

    async def delete(self, session: Session, timeout_seconds: float) -> bool:
        """See ``PodRuntime.delete``."""
        return await self._runtime.delete(session, timeout_seconds)

    async def ping(self) -> None:
        """See ``PodRuntime.ping``."""
        await self._runtime.ping()

    async def close(self) -> None:
        """See ``PodRuntime.close``."""
        await self._runtime.close()

    def _failures(self, session: Session, status: PodStatus) -> None:
        """Counts once what is found: a session that has failed, or is being deleted, is not asked about."""
        live = session.state in (SessionState.PENDING, SessionState.RUNNING)
        if live and status.phase is PodPhase.FAILED:
            self._telemetry.pod_failed(status.code or Reason.POD_FAILED)
