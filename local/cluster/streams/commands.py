"""A command in a container, with its pipes or its terminal."""

import asyncio
import fcntl
import os
import struct
import termios

from ..runtime.model import RunningContainer, StartError
from ..runtime.processes import Process
from .descriptors import Descriptor, pipe


class ExecProcess:
    """A started command.

    Attributes:
        stdin: Where its input goes, or None.
        stdout: Where its output comes from, or None; a terminal's output is all here.
        stderr: Where its error output comes from, or None.
        terminal: Whether it has a terminal.
    """

    def __init__(
        self,
        process: Process,
        stdin: Descriptor | None,
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
        """End the command's input; a terminal has no such end."""
        if self.stdin is not None and not self.terminal:
            self.stdin.close()

    def abandon(self) -> None:
        """Leave the command to itself when its client is gone.

        It runs on: its input ends and its output breaks, as with containerd. A terminal stays open, or the
        command would be hung up; what it prints is thrown away.
        """
        if not self.terminal:
            for descriptor in (self.stdin, self.stdout, self.stderr):
                if descriptor is not None:
                    descriptor.close()
        elif self.stdout is not None:
            drain = asyncio.create_task(_drain(self.stdout))
            self.exit.add_done_callback(lambda _: drain.done())


async def _drain(terminal: Descriptor) -> None:
    scratch = memoryview(bytearray(65536))
    while await terminal.read_into(scratch):
        pass
    terminal.close()


def start(
    container: RunningContainer, argv: tuple[str, ...], *, stdin: bool, stdout: bool, stderr: bool
) -> ExecProcess:
    """Start a command with pipes.

    Args:
        container: Where.
        argv: The command, not empty.
        stdin: Whether it gets input; the same for ``stdout`` and ``stderr``.

    Raises:
        StartError: It cannot be started.
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
    return ExecProcess(process, ours[0], ours[1], ours[2], terminal=False)


def start_terminal(container: RunningContainer, argv: tuple[str, ...]) -> ExecProcess:
    """Start a command in a terminal of its own.

    Raises:
        StartError: It cannot be started.
    """
    master, slave = os.openpty()
    os.set_blocking(master, False)
    descriptor = Descriptor(master)
    try:
        process = container.spawn(argv, stdin=slave, stdout=slave, stderr=slave, terminal=True)
    except StartError:
        descriptor.close()
        raise
    finally:
        os.close(slave)
    return ExecProcess(process, descriptor, descriptor, None, terminal=True)
