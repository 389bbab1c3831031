"""Containers as plain process groups, where namespaces are not to be had (macOS, hardened kernels).

Mounted paths do not exist at their place here; they are rewritten, textually, to the pod's folder wherever
they occur in arguments, environment and working directory.
"""

import asyncio
import contextlib
import os
import signal
import uuid
from collections.abc import Callable

from .model import ContainerSpec, RunningContainer, StartError
from .paths import PathView
from .processes import Command, Process, Processes
from .rewriting import Rewriter

_MARK = "LOCAL_CLUSTER_POD"

# Outlives the emulator by the blink of an eye: when the pipe on its standard input closes, it kills every
# group that it was told of, and every process that carries the mark of this cluster in its environment (a
# process that made a session of its own has left its group). "x" asks for the latter at once, for one pod.
_UNDERTAKER = """trap '' INT TERM HUP
sweep() {
    if [ -d /proc/self ]; then
        pids=$(grep -lasF "$1" /proc/[0-9]*/environ | sed 's,/proc/,,; s,/environ,,')
    else
        pids=$(ps -Eww -axo pid=,command= | grep -F "$1" | grep -v grep | sed 's/^ *//; s/ .*//')
    fi
    for pid in $pids; do [ "$pid" = $$ ] || kill -s KILL "$pid"; done
}
groups=
while read -r what which; do
    case $what in
    +) groups="$groups $which" ;;
    -) rest=; for group in $groups; do [ "$group" = "$which" ] || rest="$rest $group"; done; groups=$rest ;;
    x) sweep "$which" ;;
    esac
done 2>/dev/null
for group in $groups; do kill -s KILL -- "-$group"; done 2>/dev/null
sweep "$0" 2>/dev/null
"""


class GroupContainer:
    """A container that is a handful of process groups.

    Args:
        processes: Where its processes are kept.
        spec: What to run.
        mark: Value of the environment variable by which its processes are found.
        tell: Sends a line to the undertaker.
    """

    def __init__(
        self, processes: Processes, spec: ContainerSpec, mark: str, tell: Callable[[str], None]
    ) -> None:
        self._processes = processes
        self._tell = tell
        self._mark = mark
        self._rewrite = Rewriter({mount.path: mount.source for mount in spec.mounts})
        self._working_dir = self._rewrite(spec.working_dir)
        self._env = {**{name: self._rewrite(value) for name, value in spec.env.items()}, _MARK: mark}
        self._groups: set[int] = set()
        self._main: Process | None = None
        self.exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def run(self, argv: tuple[str, ...], stdout: int, stderr: int) -> None:
        """Start the main process.

        Raises:
            StartError: It cannot be started.
        """
        self._main = self.spawn(argv, stdout=stdout, stderr=stderr)
        self._main.exit.add_done_callback(self._ended)

    def _ended(self, code: asyncio.Future[int]) -> None:
        self.kill()
        self.exit.set_result(code.result())

    def spawn(
        self,
        argv: tuple[str, ...],
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        terminal: bool = False,
    ) -> Process:
        """Start another process; see :class:`.model.RunningContainer`."""
        rewritten = tuple(map(self._rewrite, argv))
        try:
            executable = PathView({}).find_executable(rewritten[0], self._env, self._working_dir)
        except OSError as error:
            raise StartError(str(error).replace(rewritten[0], argv[0])) from error
        arguments = (executable, *rewritten[1:])
        if terminal:
            # The first terminal that a session leader opens becomes its controlling terminal.
            arguments = ("/bin/sh", "-c", 'exec <>"$(tty)" >&0 2>&0 && exec "$@"', "sh", *arguments)
        command = Command(arguments, self._env, self._working_dir)
        try:
            process = self._processes.spawn(command, stdin=stdin, stdout=stdout, stderr=stderr)
        except OSError as error:
            raise StartError(str(error)) from error
        self._groups.add(process.pid)
        self._tell(f"+ {process.pid}")
        process.exit.add_done_callback(lambda _: self._forget_if_empty(process.pid))
        return process

    def _forget_if_empty(self, group: int) -> None:
        """Drop a group whose number may soon be another's."""
        try:
            os.killpg(group, 0)
        except OSError:
            self._groups.discard(group)
            self._tell(f"- {group}")

    def terminate(self) -> None:
        """Send SIGTERM to the main process."""
        if self._main is not None:
            self._main.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill every process group of the container, and what has left them."""
        for group in self._groups:
            # macOS answers EPERM for a group of zombies.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
            self._tell(f"- {group}")
        self._groups.clear()
        self._tell(f"x {_MARK}={self._mark}")


class GroupRuntime:
    """Runs containers as process groups."""

    description = "process groups (no namespaces: mount paths are rewritten in arguments and environment)"

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._mark = f"local-cluster-{uuid.uuid4().hex}"
        self._undertaker: Process | None = None
        self._pipe = -1

    async def start(self, spec: ContainerSpec, stdout: int, stderr: int) -> RunningContainer:
        """Start a container; see :class:`.model.Runtime`."""
        mark = f"{self._mark}/{spec.pod}/{spec.directory.name}"
        container = GroupContainer(self._processes, spec, mark, self._tell)
        container.run(spec.argv, stdout, stderr)
        return container

    def _tell(self, line: str) -> None:
        if self._undertaker is None:
            receiver, self._pipe = os.pipe()
            command = Command(("/bin/sh", "-c", _UNDERTAKER, self._mark), {"PATH": "/usr/bin:/bin"})
            # Not one of the cluster's processes: it is the one that stays until all of them are gone.
            self._undertaker = Process(command, stdin=receiver)
            os.close(receiver)
        if self._pipe >= 0:
            os.write(self._pipe, f"{line}\n".encode())

    async def close(self) -> None:
        """End the undertaker, which sweeps up what may be left."""
        if self._undertaker is not None:
            os.close(self._pipe)
            self._pipe = -1
            await self._undertaker.exit
