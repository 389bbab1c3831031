"""Runs containers as plain process groups, where namespaces do not work (macOS, hardened kernels).

There are no mounts, so mounted paths do not exist. Where such a path occurs in arguments, environment,
working directory, or the first line of input of a shell that evaluates it, it is replaced by a path in the
pod's folder.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

from .model import ContainerSpec, RunningContainer, StartError
from .paths import PathView
from .processes import Command, Process, Processes
from .procfs import ignores_termination, lists_processes, snapshot
from .rewriting import Rewriter

_MARK = "LOCAL_CLUSTER_POD"
_PLAIN = re.compile(r"[\w./+-]+", re.ASCII)
_EVALUATES = re.compile(r"^\s*IFS= read -r (\w+)\b.*\n\s*eval \"\$\1\"", re.MULTILINE)

# The undertaker lives a moment longer than the emulator. When the pipe on its standard input closes, it kills
# every group that it was told of, and every process with the mark of this cluster in its environment (a
# process that made its own session has left its group). "x" asks it to kill the latter processes of one pod
# at once; "l" tells it of a link, in a folder of its own, that has to be removed at the end.
_UNDERTAKER = """trap '' INT TERM HUP
sweep() {
    if [ -d /proc/self ]; then
        pids=$(grep -lasF "$1" /proc/[0-9]*/environ | sed 's,/proc/,,; s,/environ,,')
    else
        pids=$(ps -Eww -axo pid=,command= | grep -F "$1" | grep -v grep | sed 's/^ *//; s/ .*//')
    fi
    for pid in $pids; do [ "$pid" = $$ ] || kill -s KILL "$pid"; done
}
groups= links=
while read -r what which; do
    case $what in
    +) groups="$groups $which" ;;
    -) rest=; for group in $groups; do [ "$group" = "$which" ] || rest="$rest $group"; done; groups=$rest ;;
    x) sweep "$which" ;;
    l) links="$links $which" ;;
    esac
done 2>/dev/null
for group in $groups; do kill -s KILL -- "-$group"; done 2>/dev/null
sweep "$0" 2>/dev/null
for link in $links; do rm -f "$link" && rmdir "${link%/*}"; done 2>/dev/null
"""


class GroupContainer:
    """A container that consists of process groups.

    Args:
        processes: Holds its processes.
        spec: What to run.
        mark: Value of the environment variable by which its processes are found.
        tell: Sends a line to the undertaker.
        powerless: The prefix of a command that takes its capabilities away.
        known_as: Returns a name of a mounted folder that needs no quotes in a shell word.
    """

    def __init__(
        self,
        processes: Processes,
        spec: ContainerSpec,
        mark: str,
        tell: Callable[[str], None],
        powerless: tuple[str, ...],
        known_as: Callable[[Path], Path],
    ) -> None:
        self._processes = processes
        self._directory = spec.directory
        self._known_as = known_as
        self._powerless = powerless
        self._tell = tell
        self._mark = mark
        self._rewrite = Rewriter({mount.path: known_as(mount.source) for mount in spec.mounts})
        self._working_dir = self._rewrite(spec.working_dir)
        self._env = {**{name: self._rewrite(value) for name, value in spec.env.items()}, _MARK: mark}
        self._groups: set[int] = set()
        self._main: Process | None = None
        self.exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def run(self, argv: tuple[str, ...], stdout: int, stderr: int) -> None:
        """Start the main process.

        Raises:
            StartError: The process cannot be started.
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
        command = Command((*self._powerless, *arguments), self._env, self._working_dir)
        try:
            process = self._processes.spawn(command, stdin=stdin, stdout=stdout, stderr=stderr)
        except OSError as error:
            raise StartError(str(error)) from error
        self._groups.add(process.pid)
        self._tell(f"+ {process.pid}")
        process.exit.add_done_callback(lambda _: self._forget_if_empty(process.pid))
        return process

    def rewrite_input(self, argv: tuple[str, ...], process: Process) -> Callable[[bytes], bytes] | None:
        """Return the function that rewrites the first line of input; see :class:`.model.RunningContainer`."""
        if not any(map(_EVALUATES.search, argv)):
            return None  # its input is data, which arrives as it was sent

        def rewrite(line: bytes) -> bytes:
            rewritten = self._rewrite.in_bytes(line)
            return self._with_listing(rewritten, process) if lists_processes(line) else rewritten

        return rewrite

    def _with_listing(self, line: bytes, process: Process) -> bytes:
        """Point a script that counts the pod's processes to a list of these processes, made now."""
        if self._main is None or process.exit.done():
            return line
        folder = self._directory / f"proc-{process.pid}"
        snapshot(folder, f"{_MARK}={self._mark}", main=self._main.pid, without=process.pid)
        process.exit.add_done_callback(lambda _: shutil.rmtree(folder, ignore_errors=True))
        return line.replace(b"/proc/", bytes(self._known_as(folder)) + b"/")

    def _forget_if_empty(self, group: int) -> None:
        """Forget an empty group, because another group may soon have its number."""
        try:
            os.killpg(group, 0)
        except OSError:
            self._groups.discard(group)
            self._tell(f"- {group}")

    def terminate(self) -> None:
        """Send SIGTERM to the main process, unless it would ignore the signal as process 1 of a pod."""
        if self._main is not None and not ignores_termination(self._main.pid):
            self._main.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill every process group of the container, and the processes that have left them."""
        for group in self._groups:
            # macOS answers EPERM for a group of zombies.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
            self._tell(f"- {group}")
        self._groups.clear()
        self._tell(f"x {_MARK}={self._mark}")


class GroupRuntime:
    """Runs containers as process groups.

    Args:
        processes: Holds the processes of all containers.
        pods: The folder above all mounted folders.
    """

    description = "process groups (no namespaces: mount paths are rewritten in arguments and environment)"

    def __init__(self, processes: Processes, pods: Path) -> None:
        self._processes = processes
        self._pods = pods
        self._aliases: dict[Path, Path] = {}
        self._powerless: tuple[str, ...] | None = None
        self._mark = f"local-cluster-{uuid.uuid4().hex}"
        self._undertaker: Process | None = None
        self._pipe = -1

    async def start(self, spec: ContainerSpec, stdout: int, stderr: int) -> RunningContainer:
        """Start a container; see :class:`.model.Runtime`."""
        mark = f"{self._mark}/{spec.pod}/{spec.directory.name}"
        if self._powerless is None:
            self._powerless = await self._without_capabilities()
        container = GroupContainer(self._processes, spec, mark, self._tell, self._powerless, self._known_as)
        container.run(spec.argv, stdout, stderr)
        return container

    def _known_as(self, path: Path) -> Path:
        """Return a path that needs no quotes in a shell word: the path itself, or one through a link."""
        if _PLAIN.fullmatch(str(path)):
            return path
        base = self._pods if path.is_relative_to(self._pods) else path
        if base not in self._aliases:
            # The link is not made in TMPDIR, whose name may need quotes too.
            link = Path(tempfile.mkdtemp(prefix="pods-", dir="/tmp")) / "link"
            link.symlink_to(base)
            self._aliases[base] = link
            self._tell(f"l {link}")
        return self._aliases[base] / path.relative_to(base)

    async def _without_capabilities(self) -> tuple[str, ...]:
        """Return a prefix for commands that takes root's power to ignore the modes of files; may be empty."""
        setpriv = shutil.which("setpriv", path="/usr/sbin:/usr/bin:/sbin:/bin")
        if os.geteuid() != 0 or setpriv is None:
            return ()
        prefix = (setpriv, "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--")
        tried = self._processes.spawn(Command((*prefix, setpriv, "--dump"), {}))
        return prefix if await tried.exit == 0 else ()

    def _tell(self, line: str) -> None:
        if self._undertaker is None:
            receiver, self._pipe = os.pipe()
            command = Command(("/bin/sh", "-c", _UNDERTAKER, self._mark), {"PATH": "/usr/bin:/bin"})
            # The undertaker is not among the cluster's processes, because it must outlive all of them.
            self._undertaker = Process(command, stdin=receiver)
            os.close(receiver)
        if self._pipe >= 0:
            os.write(self._pipe, f"{line}\n".encode())

    async def close(self) -> None:
        """End the undertaker, which kills the remaining processes."""
        if self._undertaker is not None:
            os.close(self._pipe)
            self._pipe = -1
            await self._undertaker.exit
