"""Containers as plain process groups, where namespaces are not to be had (macOS, hardened kernels).

Mounted paths do not exist at their place here; they are rewritten, textually, to the pod's folder wherever
they occur in arguments, environment and working directory.
"""

import asyncio
import contextlib
import os
import re
import signal
import uuid
from collections.abc import Callable
from pathlib import Path

from .model import ContainerSpec, RunningContainer, StartError
from .paths import PathView
from .processes import Command, Process

_MARK = "LOCAL_CLUSTER_POD"

# Outlives the emulator by the blink of an eye: when the pipe on its standard input closes, it kills every group
# that it was told of, and every process that carries the mark of this cluster in its environment (a process
# that made a session of its own has left its group). "x" asks for the latter at once, for one pod.
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
    """A container that is a handful of process groups."""

    def __init__(
        self, processes: Processes, spec: ContainerSpec, rewrite: Rewriter, tell: Callable[[str], None]
    ) -> None:
        self._spec = spec
        self._rewrite = rewrite
        self._tell = tell
        self._groups: set[int] = set()
        self.view = view
        self.exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._main: Process | None = None

    def run(self, env: dict[str, str], stdout: int, stderr: int) -> None:
        """Start the main process.

        Raises:
            StartError: It cannot be started.
        """
        self._env = env
        command = self.exec_command(self._spec.argv, terminal=False)
        try:
            self._main = Process(command, stdout=stdout, stderr=stderr)
        except OSError as error:
            raise StartError(str(error)) from error
        self.adopt(self._main.pid)
        self._main.exit.add_done_callback(self._ended)

    def _ended(self, code: asyncio.Future[int]) -> None:
        self.kill()
        if not self.exit.done():
            self.exit.set_result(code.result())

    def exec_command(self, argv: tuple[str, ...], *, terminal: bool) -> Command:
        """Return the command that runs ``argv`` here; see :class:`.model.RunningContainer`."""
        rewritten = tuple(map(self._rewrite, argv))
        working_dir = self._rewrite(self._spec.working_dir)
        try:
            executable = PathView({}).find_executable(rewritten[0], self._env, working_dir)
        except OSError as error:
            raise StartError(str(error).replace(rewritten[0], argv[0])) from error
        arguments = (executable, *rewritten[1:])
        if terminal:
            # The first terminal that a session leader opens becomes its controlling terminal.
            arguments = ("/bin/sh", "-c", 'exec <>"$(tty)" >&0 2>&0 && exec "$@"', "sh", *arguments)
        return Command(arguments, self._env, working_dir)

    def adopt(self, process_id: int) -> None:
        """Take note of a process group, to kill it with the container."""
        self._groups.add(process_id)
        self._tell(f"+ {process_id}")

    def terminate(self) -> None:
        """Send SIGTERM to the main process."""
        if self._main is not None:
            self._main.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill every process group of the container, and what has left them."""
        for group in self._groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
            self._tell(f"- {group}")
        self._groups.clear()
        self._tell(f"x {self._env[_MARK]}")


class GroupRuntime:
    """Runs containers as process groups."""

    description = (
        "process groups (mount paths are rewritten in arguments and environment; nothing is separated)"
    )

    def __init__(self) -> None:
        self._mark = f"local-cluster-{uuid.uuid4().hex}"
        self._undertaker: Process | None = None
        self._pipe = -1

    async def start(self, spec: ContainerSpec, stdout: int, stderr: int) -> RunningContainer:
        """Start a container; see :class:`.model.Runtime`."""
        mounts = {mount.path: mount.source for mount in spec.mounts}
        rewrite = Rewriter(mounts)
        env = {name: rewrite(value) for name, value in spec.env.items()}
        env[_MARK] = f"{self._mark}/{spec.pod}/{spec.directory.name}"
        container = GroupContainer(spec, PathView(mounts), rewrite, self._tell)
        Path(rewrite(spec.working_dir)).mkdir(
            parents=True, exist_ok=True
        ) if spec.working_dir in mounts else None
        container.run(env, stdout, stderr)
        return container

    def _tell(self, line: str) -> None:
        if self._undertaker is None:
            receiver, self._pipe = os.pipe()
            command = Command(("/bin/sh", "-c", _UNDERTAKER, self._mark), {"PATH": "/usr/bin:/bin"})
            self._undertaker = Process(command, stdin=receiver)
            os.close(receiver)
        os.write(self._pipe, f"{line}\n".encode())

    async def close(self) -> None:
        """End the undertaker, which sweeps up what may be left."""
        if self._undertaker is not None:
            os.close(self._pipe)
            await self._undertaker.exit
            self._undertaker = None


class Rewriter:
    """Replaces mounted paths by where they are on this machine.

    Args:
        mounts: Source by mounted path.
    """

    def __init__(self, mounts: dict[str, Path]) -> None:
        self._mounts = {path.rstrip("/"): str(source) for path, source in mounts.items()}
        longest_first = sorted(self._mounts, key=len, reverse=True)
        alternatives = "|".join(map(re.escape, longest_first))
        # Only whole path components, and only at the start of a path.
        self._pattern = re.compile(rf"(?<![\w.\-/])({alternatives})(?![\w.\-])") if alternatives else None

    def __call__(self, text: str) -> str:
        """Return the text with every mounted path replaced."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda match: self._mounts[match[1]], text)
