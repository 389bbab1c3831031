"""Store and runtime as they are, and what they do is told. Made only where somebody listens."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import AsyncGenerator
from typing import Any, TypeVar, cast

from shared.core.clock import Clock
from shared.core.commands import Command, ExecEvent
from shared.core.sessions.model import Session, SessionState
from shared.core.sessions.pod import PodPhase, PodStatus
from shared.core.sessions.ports import PodRuntime, SessionStore
from shared.core.telemetry import Telemetry
from shared.errors import GamguiError
from shared.reasons import Reason

_Store = TypeVar("_Store", bound=SessionStore)
_SILENT_METHODS = ("close",)


def observed_store(store: _Store, telemetry: Telemetry) -> _Store:
    """The store; each of its operations is a span."""
    return cast(_Store, _ObservedStore(store, telemetry))


def observed_runtime(runtime: PodRuntime, telemetry: Telemetry, clock: Clock) -> PodRuntime:
    """The runtime; pods and commands are counted, and commands are spans."""
    return cast(PodRuntime, _ObservedRuntime(runtime, telemetry, clock))


class _ObservedStore:
    def __init__(self, store: SessionStore, telemetry: Telemetry) -> None:
        self._store = store
        self._telemetry = telemetry

    def __getattr__(self, name: str) -> Any:
        """Any operation of the store's: what it is called is all that is told of it."""
        operation = getattr(self._store, name)
        if name in _SILENT_METHODS or not inspect.iscoroutinefunction(operation):
            return operation

        @functools.wraps(operation)
        async def observed(*args: Any, **options: Any) -> Any:
            with self._telemetry.store(name):
                return await operation(*args, **options)

        self.__dict__[name] = observed
        return observed


class _ObservedRuntime:
    def __init__(self, runtime: PodRuntime, telemetry: Telemetry, clock: Clock) -> None:
        self._runtime = runtime
        self._telemetry = telemetry
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        """What has nothing to count."""
        return getattr(self._runtime, name)

    async def create(self, session: Session) -> str:
        try:
            position = await self._runtime.create(session)
        except GamguiError as error:
            self._telemetry.pod_failed(error.reason)
            raise
        self._telemetry.pod_created()
        return position

    async def wait_ready(self, session: Session, timeout_seconds: float, since: str = "") -> PodStatus:
        status = await self._runtime.wait_ready(session, timeout_seconds, since)
        if status.phase is PodPhase.READY:
            waited = self._clock.now() - session.created_at
            self._telemetry.pod_ready(waited.total_seconds())
        self._failures(session, status)
        return status

    async def status(self, session: Session) -> PodStatus:
        status = await self._runtime.status(session)
        self._failures(session, status)
        return status

    async def execute(self, session: Session, command: Command) -> AsyncGenerator[ExecEvent, None]:
        with self._telemetry.exec():
            async with contextlib.aclosing(self._runtime.execute(session, command)) as events:
                async for event in events:
                    yield event

    def _failures(self, session: Session, status: PodStatus) -> None:
        """Counts once what is found: a session that has failed, or is being deleted, is not asked about."""
        live = session.state in (SessionState.PENDING, SessionState.RUNNING)
        if live and status.phase is PodPhase.FAILED:
            self._telemetry.pod_failed(status.code or Reason.POD_FAILED)
