"""How a command ended: one result, made of the status, if one came, and of what else is known."""

from __future__ import annotations

import dataclasses

from shared.core.commands import ExecResult, Exit
from shared.core.sessions.pod import PodStatus
from shared.kube.exec.supervisor import Announcement

_INTERRUPTED = "the service instance shut down and told the command to end"
_NO_STATUS = "the connection to the container ended without a status"
_KILLED = (137, 143)
"""Exit codes of a process that was ended by KILL or TERM."""


def may_be_lost(status: Exit | None) -> bool:
    """Whether the pod's end can be the reason: it ends a command by a signal or without a status."""
    return status is None or status.exit_code in _KILLED


def verdict(
    status: Exit | None,
    announced: Announcement | None,
    timed_out: float | None,
    interrupted: bool,
    lost: PodStatus | None,
    *,
    said: bytes = b"",
) -> Exit:
    """The one result of a command.

    Args:
        status: What the status message says, or else the supervisor's last line; None: neither has come.
        announced: The supervisor's first line; None: there was no supervisor.
        timed_out: The time limit in seconds, if the command took longer and was told to end; else None.
        interrupted: This process was told to end and told the command to end.
        lost: How the pod ended; None: it is not known to have ended.
        said: What came in place of the supervisor's first line.
    """
    code = status.exit_code if status else None
    if timed_out is not None:
        name = status.signal if status else None
        return Exit(
            result=ExecResult.TIMED_OUT,
            exit_code=code,
            signal=name,
            reason=_limit_words(timed_out),
            left_running=status is not None and status.left_running,
        )
    if lost is not None and may_be_lost(status):
        return Exit(result=ExecResult.POD_LOST, reason=lost.reason)
    if status is None:
        return Exit(result=ExecResult.UNKNOWN, reason=_INTERRUPTED if interrupted else _NO_STATUS)
    foreign = announced is None and status.result is not ExecResult.START_FAILED
    if foreign or (announced is not None and announced.failure is not None):
        return _not_started(announced, said, f"exit code {code}")
    return dataclasses.replace(status, reason=_INTERRUPTED) if interrupted else status


def broken_off(
    fault: str, announced: Announcement | None, timed_out: float | None, *, said: bytes = b""
) -> Exit:
    """The result of a command that is no longer read, because what came cannot be a command's output.

    Args:
        fault: What came, in words for people.
        announced: See ``verdict``.
        timed_out: See ``verdict``.
        said: See ``verdict``.
    """
    if announced is None or announced.failure is not None:
        return _not_started(announced, said, fault)
    if timed_out is not None:
        return Exit(result=ExecResult.TIMED_OUT, reason=_limit_words(timed_out))
    return Exit(result=ExecResult.UNKNOWN, reason=fault)


def _not_started(announced: Announcement | None, said: bytes, otherwise: str) -> Exit:
    """The result of a command that did not start, in the supervisor's words or those of a failed shell."""
    if announced is not None and announced.failure is not None:
        return Exit(result=ExecResult.START_FAILED, reason=announced.failure)
    words = said.decode(errors="replace").strip() or otherwise
    reason = f"the image's shell could not start the command: {words}"
    return Exit(result=ExecResult.START_FAILED, reason=reason)


def _limit_words(seconds: float) -> str:
    return f"the command took longer than {seconds:g} s and was ended"
