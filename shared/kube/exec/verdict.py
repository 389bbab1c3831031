"""How a command ended: one result, from the status that came last, if one came, and what is known besides."""

from __future__ import annotations

import dataclasses

from shared.core.commands import ExecResult, Exit
from shared.core.sessions.pod import PodStatus
from shared.kube.exec.supervisor import Announcement

_INTERRUPTED = "the service instance shut down and told the command to end"
_NO_STATUS = "the connection to the container ended without a status"
_KILLED = (137, 143)
"""Exit codes of a process that was ended by KILL or TERM."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a command at its end.

    Attributes:
        announced: The supervisor's first line; None: there was no supervisor.
        first_line: What came in its place.
        timeout_seconds: How long the command may take.
        timed_out: It took longer, and was told to end.
        interrupted: This process was told to end, and told the command.
        lost: How its pod ended; None: nobody knows that it did.
    """

    announced: Announcement | None = None
    first_line: bytes = b""
    timeout_seconds: float
    timed_out: bool = False
    interrupted: bool = False
    lost: PodStatus | None = None


def may_be_lost(status: Exit | None) -> bool:
    """Whether the pod's end can be the reason: that ends a command by a signal, or without a status."""
    return status is None or status.exit_code in _KILLED


def verdict(status: Exit | None, known: Known) -> Exit:
    """The one result of a command.

    Args:
        status: What the status message says; None: the connection ended without one.
        known: What is known besides.
    """
    code = status.exit_code if status else None
    if known.timed_out:
        name = status.signal if status else None
        reason = _limit_words(known)
        return Exit(result=ExecResult.TIMED_OUT, exit_code=code, signal=name, reason=reason)
    if known.lost is not None and may_be_lost(status):
        return Exit(result=ExecResult.POD_LOST, reason=known.lost.reason)
    if status is None:
        return Exit(result=ExecResult.UNKNOWN, reason=_INTERRUPTED if known.interrupted else _NO_STATUS)
    foreign = known.announced is None and status.result is not ExecResult.START_FAILED
    if foreign or (known.announced is not None and known.announced.failure is not None):
        return Exit(result=ExecResult.START_FAILED, reason=_why_not_started(known, f"exit code {code}"))
    return dataclasses.replace(status, reason=_INTERRUPTED) if known.interrupted else status


def broken_off(fault: str, known: Known) -> Exit:
    """The result of a command of which no more is read, for what came is no command's output.

    Args:
        fault: What came.
        known: What is known besides.
    """
    if known.announced is None or known.announced.failure is not None:
        return Exit(result=ExecResult.START_FAILED, reason=_why_not_started(known, fault))
    if known.timed_out:
        return Exit(result=ExecResult.TIMED_OUT, reason=_limit_words(known))
    return Exit(result=ExecResult.UNKNOWN, reason=fault)


def _why_not_started(known: Known, otherwise: str) -> str:
    """What the supervisor or, in its place, a shell said."""
    if known.announced is not None and known.announced.failure is not None:
        return known.announced.failure
    said = known.first_line.decode(errors="replace").strip()
    return f"the image's shell could not start the command: {said or otherwise}"


def _limit_words(known: Known) -> str:
    return f"the command took longer than {known.timeout_seconds:g} s and was ended"
