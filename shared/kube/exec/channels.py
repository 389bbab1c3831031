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
from shared.kube.api.errors import ApiError, public_message

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

_REFUSED = re.compile(
    r"(?:Internal error occurred: )*(?:error sending request|unable to upgrade connection): "
)
"""The API server's words when it has not got through to the kubelet, or was refused by it: client-go
transport/spdy (Negotiate), apimachinery httpstream/spdy (NewConnection)."""

_ENDS = ("NonZeroExitCode", "InternalError")
"""Reasons with which a status says how a command ended, or that the container runtime did not start it."""


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


def read_refusal(payload: bytes) -> ApiError | None:
    """Reads from the status message whether the exec was refused behind the upgrade.

    An API server that translates upgrades the client's connection before it asks the kubelet, so that a
    refusal can come only in here (k8s.io/apiserver pkg/util/proxy/streamtranslator.go).

    Args:
        payload: A status that came before anything else was said.

    Returns:
        The refusal as if it had come in place of the upgrade; None for any other status.
    """
    try:
        status = json.loads(payload) if len(payload) <= _MAX_STATUS_BYTES else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(status, dict) or status.get("status") != "Failure":
        return None
    code, reason = status.get("code"), status.get("reason")
    if not isinstance(code, int) or code < 400:
        return None
    elsewhere = bool(reason) and reason not in _ENDS
    if elsewhere or _REFUSED.match(str(status.get("message") or "")):
        return ApiError.from_answer(code, status, {}, writes=True)
    return None


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
