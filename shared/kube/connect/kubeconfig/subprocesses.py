"""Runs a small program for its output on the event loop, within bounds of time and size."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Mapping, Sequence

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
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            output, complaint = await asyncio.gather(_bounded(process.stdout), _bounded(process.stderr))
            status = await process.wait()
    except TimeoutError as error:
        raise ProgramError(f"did not end within {timeout_seconds:g} s") from error
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if status:
        _log.warning(
            "%s failed with status %s: %s",
            command[0],
            status,
            complaint.decode(errors="replace").strip()[-_MAX_LOGGED:],
        )
        raise ProgramError(f"failed with exit status {status}")
    return output


async def _bounded(stream: asyncio.StreamReader | None) -> bytes:
    if stream is None:
        return b""
    chunks: list[bytes] = []
    size = 0
    while chunk := await stream.read(64 * 1024):
        chunks.append(chunk)
        size += len(chunk)
        if size > _MAX_OUTPUT_BYTES:
            raise ProgramError("printed more than 1 MiB")
    return b"".join(chunks)
