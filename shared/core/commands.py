"""A command in a session, what it says while it runs and how it ended."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Literal, TypeAlias

Stream: TypeAlias = Literal["stdout", "stderr"]

SHELL = "/bin/sh"
"""What runs scripts of ours in a pod, where the main process needs it too: by its path, as PATH is no one's
to trust."""


class ExecResult(enum.StrEnum):
    """How a command ended; exactly one of these, and never a success by default."""

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
        argv: Program and arguments, never interpreted by a shell of ours.
        timeout_seconds: After this the whole process group is ended.
        stdin: Bytes in pieces; None gives the command an empty input.
        workdir: Absolute path in the pod; empty: the workspace.
        env: Variables added to the container's own; they may be secrets.
        internal: It is a script of ours: it finds programs in the system's folders before any that
            the container's PATH names.
    """

    argv: Sequence[str]
    timeout_seconds: float
    stdin: AsyncIterator[bytes] | None = None
    workdir: str = ""
    env: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    internal: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Started:
    """The command runs; ``pid`` is its process id (and process group) in the pod, None if virtual."""

    pid: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Output:
    """Bytes that the command wrote; ``offset`` is where they begin in that stream."""

    stream: Stream
    offset: int
    data: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing was written for a while and the command still runs."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How the command ended. Always the last event.

    Attributes:
        exit_code: The command's own, or 128 + signal; None when nobody knows one.
        signal: ``SIGKILL`` and the like when ``exit_code`` tells of one.
        reason: Why there is no ordinary end, cut to what helps.
        virtual: Nothing was executed: the session has no pod.
    """

    result: ExecResult
    exit_code: int | None = None
    signal: str | None = None
    reason: str | None = None
    virtual: bool = False


ExecEvent: TypeAlias = Started | Output | Heartbeat | Exit
