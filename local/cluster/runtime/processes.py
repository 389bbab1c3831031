"""Child processes without a thread for each: spawned directly; the event loop signals their end."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

if sys.platform != "linux":
    import select


@dataclass(frozen=True, slots=True)
class Command:
    """An executable of this machine with its arguments, its whole environment and its working directory."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str | None = None


class Process:
    """A child process in its own session.

    Args:
        command: What to run.
        stdin: Descriptor, or None for ``/dev/null``; the same for ``stdout`` and ``stderr``.

    Raises:
        OSError: The executable cannot be started.
    """

    def __init__(
        self,
        command: Command,
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        self._child = subprocess.Popen(
            command.argv,
            env=dict(command.env),
            cwd=command.cwd,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.DEVNULL if stdout is None else stdout,
            stderr=subprocess.DEVNULL if stderr is None else stderr,
            start_new_session=True,
        )
        self.pid = self._child.pid
        self.exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        _call_at_exit(self.pid, self._reap)

    def _reap(self) -> None:
        code = self._child.wait()
        if not self.exit.done():
            self.exit.set_result(exit_code(code))

    def send_signal(self, number: int) -> None:
        """Send a signal to the process, unless it has ended."""
        if not self.exit.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Processes:
    """All child processes of one cluster, so that it leaves none behind when it stops."""

    def __init__(self) -> None:
        self._alive: set[Process] = set()

    def spawn(
        self,
        command: Command,
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> Process:
        """Start a process; arguments and errors are those of :class:`Process`."""
        process = Process(command, stdin=stdin, stdout=stdout, stderr=stderr)
        self._alive.add(process)
        process.exit.add_done_callback(lambda _: self._alive.discard(process))
        return process

    async def close(self) -> None:
        """Kill the remaining processes, and wait for them."""
        for process in self._alive:
            process.send_signal(signal.SIGKILL)
        if self._alive:
            await asyncio.wait([process.exit for process in self._alive])


def exit_code(returncode: int) -> int:
    """Return the exit code as Kubernetes reports it: 128 + n for a process killed by signal n."""
    return 128 - returncode if returncode < 0 else returncode


if sys.platform == "linux":

    def _call_at_exit(pid: int, callback: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        descriptor = os.pidfd_open(pid)

        def ended() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            callback()

        loop.add_reader(descriptor, ended)

else:

    def _call_at_exit(pid: int, callback: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        queue = select.kqueue()
        flags = select.KQ_EV_ADD | select.KQ_EV_ONESHOT
        event = select.kevent(pid, select.KQ_FILTER_PROC, flags, select.KQ_NOTE_EXIT)

        def ended() -> None:
            loop.remove_reader(queue.fileno())
            queue.close()
            callback()

        try:
            queue.control([event], 0, 0)
        except ProcessLookupError:
            # The process ended before it could be watched; it is still a zombie that can be reaped.
            loop.call_soon(callback)
            queue.close()
        else:
            loop.add_reader(queue.fileno(), ended)
