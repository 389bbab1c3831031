"""The types that a runtime takes and returns."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .processes import Process


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or folder of this machine that a container sees at ``path``."""

    source: Path
    path: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """Everything that is needed to start one container.

    Attributes:
        pod: uid of the pod, to recognise its processes.
        directory: Folder that belongs to this container alone.
        argv: Command with its arguments, not empty.
        env: The whole environment; nothing is inherited.
        working_dir: Absolute path inside the container.
        user: Numeric user that the processes see themselves as.
        read_only_root: Whether everything outside the writable mounts refuses writes.
    """

    pod: str
    directory: Path
    argv: tuple[str, ...]
    env: Mapping[str, str]
    working_dir: str
    mounts: tuple[Mount, ...]
    user: int = 0
    group: int = 0
    read_only_root: bool = False


class StartError(Exception):
    """A command cannot be started; the message is worded as runc words it."""


class RunningContainer(Protocol):
    """A started container."""

    @property
    def exit(self) -> asyncio.Future[int]:
        """Done with the exit code when the main process has ended and all others are killed."""

    def spawn(
        self,
        argv: tuple[str, ...],
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        terminal: bool = False,
    ) -> Process:
        """Start another process inside, which dies with the container.

        Args:
            argv: The command, not empty.
            stdin: Descriptor, or None for ``/dev/null``; the same for ``stdout`` and ``stderr``.
            terminal: Whether the descriptors are a terminal that is to become the controlling one.

        Raises:
            StartError: There is no such executable inside.
        """

    def rewrite_input(self, argv: tuple[str, ...], process: Process) -> Callable[[bytes], bytes] | None:
        """Return what the first line of a command's input must go through, or None if nothing.

        Args:
            argv: The command.
            process: The command as it runs, from :meth:`spawn`.
        """

    def terminate(self) -> None:
        """Send SIGTERM to the main process."""

    def kill(self) -> None:
        """Kill every process of the container."""


class Runtime(Protocol):
    """A way to run containers."""

    @property
    def description(self) -> str:
        """One line for the start message: which runtime it is and what it does not do."""

    async def start(self, spec: ContainerSpec, stdout: int, stderr: int) -> RunningContainer:
        """Start a container.

        Args:
            spec: What to run.
            stdout: Descriptor for its standard output; stays the caller's.
            stderr: Descriptor for its standard error; stays the caller's.

        Raises:
            StartError: The command cannot be started.
        """

    async def close(self) -> None:
        """Release what the runtime itself holds. Containers have been killed before."""
