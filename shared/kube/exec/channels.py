"""The remote-command protocol of the Kubernetes API over WebSocket, as pure functions.

The first byte of each message is its channel. v5 adds a message that closes a channel.
Source: https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/apimachinery/pkg/util/remotecommand/constants.go
and what a real cluster sent (tests/kubernetes-recordings).
"""

from __future__ import annotations

import json
import re
import signal
from typing import Any, Final

from shared.core.commands import ExecResult, Exit
from shared.kube.api.errors import public_message

V5: Final = "v5.channel.k8s.io"
V4: Final = "v4.channel.k8s.io"

STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2
STATUS: Final = 3

CLOSE_STDIN: Final = b"\xff\x00"
"""v5 only: the end of standard input. v4 has none."""

MAX_STDIN_FRAME: Final = 64 * 1024
"""Larger frames hold up everything else: the server writes a frame to a pipe before it reads the next."""

_MAX_STATUS_BYTES = 64 * 1024
"""Longest status that is read; those of Kubernetes are a few hundred bytes long."""

_CODE = re.compile(r"[0-9]{1,10}")

_RUNTIME_NOISE = re.compile(
    r"^.*(?:unable to start container process: |OCI runtime exec failed: )(?:exec failed: )*"
)


def stdin_frames(data: bytes) -> list[bytes]:
    """Cuts input into messages for channel 0, none longer than ``MAX_STDIN_FRAME`` bytes of data."""
    return [b"\x00" + data[at : at + MAX_STDIN_FRAME] for at in range(0, len(data), MAX_STDIN_FRAME)]


def read_status(payload: bytes) -> Exit:
    """Reads from the message on the status channel how the command ended.

    The exit status comes only from here; nothing else (the close code least of all)
    says that a command succeeded.

    Args:
        payload: A ``Status`` object as JSON, without the channel byte.
    """
    unreadable = Exit(result=ExecResult.UNKNOWN, reason="the status message cannot be read")
    if len(payload) > _MAX_STATUS_BYTES:
        return unreadable
    try:
        return _end_of(json.loads(payload))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return unreadable


def _end_of(status: Any) -> Exit:
    verdict, reason = status.get("status"), status.get("reason")
    causes = (status.get("details") or {}).get("causes") or []
    if verdict == "Success":
        return Exit(result=ExecResult.EXITED, exit_code=0)
    if reason == "NonZeroExitCode":
        for cause in causes:
            text = str(cause.get("message", "")) if isinstance(cause, dict) else ""
            if isinstance(cause, dict) and cause.get("reason") == "ExitCode" and _CODE.fullmatch(text):
                return ended_with(int(text))
    if reason == "InternalError":
        return Exit(result=ExecResult.START_FAILED, reason=start_failure(str(status.get("message", ""))))
    return Exit(
        result=ExecResult.UNKNOWN, reason=public_message(str(status.get("message") or "no exit code"))
    )


def ended_with(code: int) -> Exit:
    """The end that an exit code stands for: by convention 128 + n is signal n."""
    if code > 128:
        try:
            name = signal.Signals(code - 128).name
        except ValueError:
            return Exit(result=ExecResult.EXITED, exit_code=code)
        return Exit(result=ExecResult.SIGNALED, exit_code=code, signal=name)
    return Exit(result=ExecResult.EXITED, exit_code=code)


def start_failure(message: str) -> str:
    """The part of a container runtime's message that helps: why it could not start the command."""
    text = _RUNTIME_NOISE.sub("", message).removesuffix(": unknown")
    return public_message(text)
