"""Runs a small program for its output on the event loop, within bounds of time and size."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import IO, Any

_log = logging.getLogger(__name__)

_MAX_OUTPUT_BYTES = 1024 * 1024
_MAX_LOGGED = 2000


class ProgramError(Exception):
    """The program ran, but gave nothing to use; says why in a few words."""


async def run_program(
    command: Sequence[str], environment: Mapping[str, str], *, timeout_seconds: float
) -> bytes:
    """Runs a program and returns what it prints.

    The program has no stdin. It has a process group of its own, so that nothing it starts
    outlives the time. When it fails, what it printed to stderr goes to the log.

    Args:
        command: Program and arguments; a bare name is looked up in the environment's PATH.
        environment: The program's whole environment.
        timeout_seconds: Longest time that the program may take.

    Raises:
        FileNotFoundError: There is no such program.
        OSError: The program cannot be executed.
        ProgramError: The program failed, took too long or printed more than 1 MiB.
    """
    async with _reading() as (stdout, output), _reading() as (stderr, complaint):
        process = await _started(command, environment, stdout, stderr)
        stdout.close()  # the program alone has it now, so that its end is the end of the output
        stderr.close()
        try:
            async with asyncio.timeout(timeout_seconds):
                printed, complained = await asyncio.gather(_bounded(output), _bounded(complaint))
                status = await process.wait()
        except TimeoutError as error:
            raise ProgramError(f"did not end within {timeout_seconds:g} s") from error
        finally:
            await _end(process)
    if status:
        _log.warning(
            "%s failed with status %s: %s",
            command[0],
            status,
            complained.decode(errors="replace").strip()[-_MAX_LOGGED:],
        )
        raise ProgramError(f"failed with exit status {status}")
    return printed


async def _started(
    command: Sequence[str], environment: Mapping[str, str], stdout: IO[Any], stderr: IO[Any]
) -> asyncio.subprocess.Process:
    """Starts the program. If it is cancelled meanwhile, nothing of the program is left.

    asyncio, when it is cancelled while it starts a program, ends that process alone, not its group.
    """
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            *command,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError, ValueError):  # it was not started
            await _end(await starting)
        raise


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends the program's process group and waits for the program."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


@contextlib.asynccontextmanager
async def _reading() -> AsyncGenerator[tuple[IO[Any], asyncio.StreamReader]]:
    """A pipe: the end that a program writes to, and a reader of the other.

    asyncio's own pipes will not do: with them, a process counts as ended only when both are at their
    end, and that never comes where nobody reads on, or where a child that has left the group holds one.
    """
    ours, theirs = (
        os.fdopen(end, mode, buffering=0) for end, mode in zip(os.pipe(), ("rb", "wb"), strict=True)
    )
    with ours, theirs:
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), ours)
        try:
            yield theirs, reader
        finally:
            transport.close()


async def _bounded(stream: asyncio.StreamReader) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while chunk := await stream.read(64 * 1024):
        chunks.append(chunk)
        size += len(chunk)
        if size > _MAX_OUTPUT_BYTES:
            raise ProgramError("printed more than 1 MiB")
    return b"".join(chunks)
