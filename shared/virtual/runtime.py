"""The runtime of virtual sessions, which run at once and execute nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from shared.core.clusters.model import VIRTUAL
from shared.core.commands import Command, ExecEvent, ExecResult, Exit, Output, Started
from shared.core.sessions.model import Session
from shared.core.sessions.pod import ConnectionInfo, PodPhase, PodStatus

NOT_EXECUTED = b"virtual session: not executed\n"


class VirtualRuntime:
    """A ``PodRuntime`` without pods. It keeps no state, so any instance can answer for any session."""

    async def connect(self) -> ConnectionInfo:
        """See ``PodRuntime``."""
        return ConnectionInfo(VIRTUAL, VIRTUAL)

    async def create(self, session: Session) -> str:
        """See ``PodRuntime``."""
        return ""

    async def wait_ready(self, session: Session, timeout_seconds: float, since: str = "") -> PodStatus:
        """See ``PodRuntime``: ready at once."""
        return PodStatus(PodPhase.READY)

    async def status(self, session: Session) -> PodStatus:
        """See ``PodRuntime``: always ready."""
        return PodStatus(PodPhase.READY)

    async def delete(self, session: Session, timeout_seconds: float) -> bool:
        """See ``PodRuntime``: there is nothing to delete."""
        return True

    async def execute(self, session: Session, command: Command) -> AsyncGenerator[ExecEvent, None]:
        """See ``PodRuntime``: the output says that nothing was executed."""
        yield Started(None)
        yield Output("stdout", 0, NOT_EXECUTED)
        yield Exit(result=ExecResult.UNKNOWN, reason="virtual session: not executed", virtual=True)

    async def ping(self) -> None:
        """See ``PodRuntime``."""

    async def close(self) -> None:
        """See ``PodRuntime``."""
