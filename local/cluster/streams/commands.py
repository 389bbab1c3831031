"""A command in a container, with its pipes or its terminal."""

import asyncio
import fcntl
import os
import struct
import termios

from ..runtime.model import RunningContainer, StartError
from ..runtime.processes import Process
from .descriptors import Descriptor, pipe
from .firstline import FirstLine

# These references keep the tasks alive; the event loop has only weak references to them.
_drains: set[asyncio.Task[None]] = set()


class ExecProcess:
    """A started command.

    Attributes:
        stdin: Takes the command's input, or None.
        stdout: Gives its output, or None; with a terminal, it gives all output.
        stderr: Gives its error output, or None.
        terminal: Whether the command has a terminal.
    """

    def __init__(
        self,
        process: Process,
        stdin: Descriptor | FirstLine | None,
        stdout: Descriptor | None,
        stderr: Descriptor | None,
        *,
        terminal: bool,
    ) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.terminal = terminal
        self.exit: asyncio.Future[int] = process.exit

    def resize(self, columns: int, rows: int) -> None:
        """Set the size of the terminal, in characters."""
        if self.terminal and self.stdout is not None and self.stdout.number >= 0:
            fcntl.ioctl(self.stdout.number, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close_stdin(self) -> None:
        """End the command's input, unless it has a terminal, whose input has no such end."""
        if self.stdin is not None and not self.terminal:
            self.stdin.close()

    def abandon(self) -> None:
        """Let the command run on after its client is gone.

        Its input ends and its output breaks, as with containerd. A terminal stays open, because the command
        would otherwise get a hangup; its output is thrown away.
        """
        if self.terminal:
            drain = asyncio.create_task(self._drain())
            _drains.add(drain)
            drain.add_done_callback(_drains.discard)
        else:
            self._close()

    async def _drain(self) -> None:
        scratch = memoryview(bytearray(65536))
        try:
            while self.stdout is not None and await self.stdout.read_into(scratch):
                pass
        finally:
            self._close()

    def _close(self) -> None:
        for descriptor in (self.stdin, self.stdout, self.stderr):
            if descriptor is not None:
                descriptor.close()


def start(
    container: RunningContainer, argv: tuple[str, ...], *, stdin: bool, stdout: bool, stderr: bool
) -> ExecProcess:
    """Start a command with pipes.

    Args:
        container: The container to run it in.
        argv: The command, not empty.
        stdin: Whether it gets input; the same for ``stdout`` and ``stderr``.

    Raises:
        StartError: The command cannot be started.
    """
    ours: list[Descriptor | None] = []
    theirs: list[int | None] = []
    for wanted, reads in ((stdin, False), (stdout, True), (stderr, True)):
        if not wanted:
            ours.append(None)
            theirs.append(None)
            continue
        reader, writer = pipe(parent_reads=reads)
        ours.append(Descriptor(reader if reads else writer))
        theirs.append(writer if reads else reader)
    try:
        process = container.spawn(argv, stdin=theirs[0], stdout=theirs[1], stderr=theirs[2])
    except StartError:
        for descriptor in ours:
            if descriptor is not None:
                descriptor.close()
        raise
    finally:
        for number in theirs:
            if number is not None:
                os.close(number)
    input_: Descriptor | FirstLine | None = ours[0]
    rewrite = container.rewrite_input(argv, process)
    if ours[0] is not None and rewrite is not None:
        input_ = FirstLine(ours[0], rewrite)
    return ExecProcess(process, input_, ours[1], ours[2], terminal=False)


def start_terminal(container: RunningContainer, argv: tuple[str, ...]) -> ExecProcess:
    """Start a command in its own terminal.

    Raises:
        StartError: The command cannot be started.
    """
    master, slave = os.openpty()
    os.set_blocking(master, False)
    # There is one for each direction, because a descriptor can wait for one direction at a time.
    output, input_ = Descriptor(master), Descriptor(os.dup(master))
    try:
        process = container.spawn(argv, stdin=slave, stdout=slave, stderr=slave, terminal=True)
    except StartError:
        output.close()
        input_.close()
        raise
    finally:
        os.close(slave)
    return ExecProcess(process, input_, output, None, terminal=True)
