"""A command in a session, the events while it runs, and how it ended."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Literal, TypeAlias

Stream: TypeAlias = Literal["stdout", "stderr"]

SHELL = "/bin/sh"
"""The shell that runs this service's scripts in a pod. The pod's main process needs it too.

It is named by its path, because the container's PATH cannot be trusted.
"""


class ExecResult(enum.StrEnum):
    """How a command ended: exactly one of these. Success is never the default."""

    EXITED = "exited"
    SIGNALED = "signaled"
    TIMED_OUT = "timed_out"
    START_FAILED = "start_failed"
    POD_LOST = "pod_lost"
    UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run.

    Attributes:
        argv: Program and arguments. This service never passes them through a shell.
        timeout_seconds: The whole process group is ended after this time.
        stdin: The command's input as pieces of bytes; None gives the command an empty input.
        workdir: Absolute path in the pod; empty: the workspace.
        env: Variables added to the container's own; they may be secrets.
        internal: The command is a script of this service: it searches programs in the system's folders
            before the folders in the container's PATH.
    """

    argv: Sequence[str]
    timeout_seconds: float
    stdin: AsyncIterator[bytes] | None = None
    workdir: str = ""
    env: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    internal: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Started:
    """The command runs. ``pid`` is its process id and process group in the pod; None in a virtual session."""

    pid: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Output:
    """Bytes that the command wrote; ``offset`` is the position of the first one in the stream."""

    stream: Stream
    offset: int
    data: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Heartbeat:
    """The command still runs, and wrote nothing for a while."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How the command ended. Always the last event.

    Attributes:
        exit_code: The command's own exit code, or 128 + signal number; None when it is not known.
        signal: Name of the signal, such as ``SIGKILL``, when ``exit_code`` stands for a signal.
        reason: Why the command did not end normally, shortened to the useful part.
        virtual: Nothing was executed, because the session has no pod.
        left_running: A process that the command has left behind still held the command's output open two
            seconds after the command's end. It goes on; what it writes is read no more.
    """

    result: ExecResult
    exit_code: int | None = None
    signal: str | None = None
    reason: str | None = None
    virtual: bool = False
    left_running: bool = False


ExecEvent: TypeAlias = Started | Output | Heartbeat | Exit
