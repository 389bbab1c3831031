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
    """Everything needed to start one container.

    Attributes:
        pod: uid of the pod, by which its processes are recognized.
        directory: Folder that belongs to this container alone.
        argv: Command with its arguments, not empty.
        env: The whole environment; nothing is inherited.
        working_dir: Absolute path inside the container.
        user: Numeric user that the processes see as their own.
        read_only_root: Whether the container can write only to writable mounts.
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
        """Gets the exit code as its result when the main process has ended and all others are killed."""

    def spawn(
        self,
        argv: tuple[str, ...],
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        terminal: bool = False,
    ) -> Process:
        """Start another process inside the container; it dies with the container.

        Args:
            argv: The command, not empty.
            stdin: Descriptor, or None for ``/dev/null``; the same for ``stdout`` and ``stderr``.
            terminal: Whether the descriptors are a terminal that becomes the process's controlling terminal.

        Raises:
            StartError: There is no such executable inside.
        """

    def rewrite_input(self, argv: tuple[str, ...], process: Process) -> Callable[[bytes], bytes] | None:
        """Return a function for the first line of a command's input, or None if the input stays as it is.

        Args:
            argv: The command.
            process: The running command, from :meth:`spawn`.
        """

    def terminate(self) -> None:
        """Send SIGTERM to the main process."""

    def kill(self) -> None:
        """Kill every process of the container."""


class Runtime(Protocol):
    """A way to run containers."""

    @property
    def description(self) -> str:
        """One line for the start message: the name of the runtime, and what it does not do."""

    async def start(self, spec: ContainerSpec, stdout: int, stderr: int) -> RunningContainer:
        """Start a container.

        Args:
            spec: What to run.
            stdout: Descriptor for its standard output; the caller closes it.
            stderr: Descriptor for its standard error; the caller closes it.

        Raises:
            StartError: The command cannot be started.
        """

    async def close(self) -> None:
        """Release the runtime's own resources. All containers have been killed before."""
