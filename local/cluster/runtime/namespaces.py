"""Runs containers in their own mount, PID and user namespaces, with the tools of util-linux.

This works as root and as an ordinary user. The container's command is PID 1 of its PID namespace, as in
Kubernetes: it ignores signals that it does not handle, and its end kills every other process in the
namespace. ``setpriv --pdeathsig``, on the supervising shell and on PID 1, ends the container even when the
emulator is killed.
"""

import asyncio
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from .model import ContainerSpec, Mount, RunningContainer, StartError
from .paths import PathView
from .processes import Command, Process, Processes
from .roots import compose_root

_TMP = "/tmp"  # noqa: S108 - the container's own /tmp
_TOOLS = ("setpriv", "unshare", "nsenter", "mount", "umount", "pivot_root", "setsid", "sh")

# Waits for the container's first process and ends with its exit code. A shell does it because unshare 2.38
# returns a wrong code after a signal with --fork. Messages of this shell must not appear in the container's
# output.
_SUPERVISE = 'exec 3>&2 2>/dev/null; "$@" 2>&3 3>&-; exit $?'

# Runs as PID 1 of the new namespaces, then becomes the container's command. At its first line the host's
# /proc is still mounted, so the line reads the process id on this machine. Until then standard input is a
# pipe to the emulator, because a shell can name no descriptor above 9.
_SETUP = """set -e
read -r pid rest </proc/self/stat
{mount} -a -T "$1"
cd "$2"; {pivot_root} . .; {umount} -l .
[ -d "$3" ] || {mkdir} -p "$3"
[ "$4" = writable ] || {mount} -o remount,bind,ro /
cd "$3"
echo "$pid" >&0
exec </dev/null
shift 4
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class _Tools:
    paths: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.paths[name]


class NamespaceContainer:
    """A container whose processes are in their own namespaces."""

    def __init__(
        self, processes: Processes, tools: _Tools, spec: ContainerSpec, supervisor: Process, init: int
    ) -> None:
        self._processes = processes
        self._tools = tools
        self._spec = spec
        self._init = init
        self._view = _view(spec)
        self.exit = supervisor.exit

    def spawn(
        self,
        argv: tuple[str, ...],
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        terminal: bool = False,
    ) -> Process:
        """Start another process inside; see :class:`.model.RunningContainer`."""
        _check_executable(self._view, self._spec, argv)
        # A terminal needs a session that starts inside the PID namespace; otherwise shells have no job
        # control.
        session = (self._tools["setsid"], "--ctty") if terminal else ()
        target = str(self._init)
        enter = (
            self._tools["nsenter"],
            "--target",
            target,
            "--user",
            "--mount",
            "--pid",
            "--preserve-credentials",
        )
        where = f"--wd=/proc/{target}/root{self._spec.working_dir}"
        command = Command((*enter, where, "--", *session, *argv), self._spec.env)
        try:
            return self._processes.spawn(command, stdin=stdin, stdout=stdout, stderr=stderr)
        except OSError as error:
            raise StartError(str(error)) from error

    def rewrite_input(self, argv: tuple[str, ...], process: Process) -> None:
        """Return None: paths inside the container are real, so nothing is rewritten."""

    def terminate(self) -> None:
        """Send SIGTERM to PID 1 of the container."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill PID 1 of the container, and thereby everything in it."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if not self.exit.done():
            try:
                os.kill(self._init, number)
            except ProcessLookupError:
                return


class NamespaceRuntime:
    """Runs containers in namespaces. Use :func:`probe_namespaces` to make one."""

    description = "processes in namespaces (own root, processes and user; same network; no resource limits)"

    def __init__(self, processes: Processes, tools: dict[str, str]) -> None:
        self._processes = processes
        self._tools = _Tools(tools)

    async def start(self, spec: ContainerSpec, stdout: int, stderr: int) -> RunningContainer:
        """Start a container; see :class:`.model.Runtime`."""
        root = spec.directory / "root"
        fstab = spec.directory / "fstab"
        _check_executable(_view(spec), spec, spec.argv)
        fstab.write_text(compose_root(root, spec.mounts))
        receiver, ready = os.pipe()
        command = Command(self._argv(spec, fstab, root), spec.env)
        try:
            process = self._processes.spawn(command, stdin=ready, stdout=stdout, stderr=stderr)
        except OSError as error:
            os.close(receiver)
            raise StartError(str(error)) from error
        finally:
            os.close(ready)
        try:
            init = await _read_init(receiver)
        except asyncio.CancelledError:
            process.send_signal(signal.SIGKILL)
            raise
        if init is None:
            code = await process.exit
            raise StartError(f"unable to compose the container's root (exit code {code}); see its log")
        return NamespaceContainer(self._processes, self._tools, spec, process, init)

    def _argv(self, spec: ContainerSpec, fstab: Path, root: Path) -> tuple[str, ...]:
        tools = self._tools
        script = _SETUP.format(mkdir=tools["mkdir"], **{name: tools[name] for name in _TOOLS})
        access = "read-only" if spec.read_only_root else "writable"
        die = (tools["setpriv"], "--pdeathsig", "KILL")
        user = ("--user", f"--map-user={spec.user}", f"--map-group={spec.group}", "--keep-caps")
        # Mounting needs capabilities in the new user namespace; the container's command gets none of these.
        drop = (tools["setpriv"], "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--")
        return (
            *(*die, tools["unshare"], *user, "--mount", "--pid"),
            *(tools["sh"], "-c", _SUPERVISE, "supervise"),
            *(*die, tools["sh"], "-c", script, "setup", str(fstab), str(root), spec.working_dir, access),
            *(drop if spec.user else ()),
            *spec.argv,
        )

    async def close(self) -> None:
        """Do nothing: the runtime has no resources of its own."""


async def probe_namespaces(processes: Processes, directory: Path) -> NamespaceRuntime | None:
    """Return a runtime if containers in namespaces work here, else None.

    Args:
        processes: Holds the runtime's processes.
        directory: An empty folder in which a whole container is tried. Single steps would prove little,
            because others may not be allowed (AppArmor, masked /proc in a container, old util-linux).
    """
    found = {name: shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") for name in (*_TOOLS, "mkdir")}
    tools = {name: path for name, path in found.items() if path is not None}
    if len(tools) != len(found):
        return None
    runtime = NamespaceRuntime(processes, tools)
    volume = directory / "volume"
    volume.mkdir(parents=True)
    mounts = (Mount(volume, "/probe/inside"),)
    argv = (tools["sh"], "-c", "read -r line </probe/inside/fifo")
    os.mkfifo(volume / "fifo")
    spec = ContainerSpec(
        "probe", directory, argv, {}, "/probe/inside", mounts, 1000, 1000, read_only_root=True
    )
    null = os.open(os.devnull, os.O_RDWR)
    try:
        container = await runtime.start(spec, null, null)
        entered = await container.spawn((tools["sh"], "-c", "[ $PPID = 0 ] && touch done")).exit
        container.kill()
        await container.exit
    except StartError:
        return None
    finally:
        os.close(null)
    return runtime if entered == 0 and (volume / "done").exists() else None


def _view(spec: ContainerSpec) -> PathView:
    mounts = {_TMP: spec.directory / "root" / "tmp"}
    return PathView(mounts | {mount.path: mount.source for mount in spec.mounts})


def _check_executable(view: PathView, spec: ContainerSpec, argv: tuple[str, ...]) -> None:
    try:
        view.find_executable(argv[0], spec.env, spec.working_dir)
    except OSError as error:
        raise StartError(str(error)) from error


async def _read_init(receiver: int) -> int | None:
    """Return the process id that the setup script reports, or None if the script ended without a report."""
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    loop.add_reader(receiver, lambda: None if readable.done() else readable.set_result(None))
    try:
        await readable
        line = os.read(receiver, 32).strip()
    finally:
        loop.remove_reader(receiver)
        os.close(receiver)
    return int(line) if line else None
