"""Ends a command by a second exec. Its answer is bounded, because the container may answer anything."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shared.core.held import PIECE_OVERHEAD
from shared.kube.api.client import KubeApi
from shared.kube.exec import channels
from shared.kube.exec.socket import Background, Container, open_exec

_STOP_SECONDS = 10.0
"""The command has five seconds to end after TERM; the rest is for the exec that sends it."""

_ANSWER_BYTES = 64 * 1024
"""Most that is read of the answer: the script that ends a command has only its status to say."""


async def stop_command(
    api: KubeApi, container: Container, argv: Sequence[str], background: Background
) -> None:
    """Ends a command and waits for the end: TERM to its process group, then KILL after 5 s.

    Args:
        api: The cluster.
        container: Where the command runs.
        argv: What to run for that; see ``supervisor.stop_argv``.
        background: Runs a coroutine to its end, as a task of its own.

    Raises:
        ApiError: The API server refused the exec.
        ClusterUnavailable: The API server was not reached.
        TimeoutError: The exec took too long.
    """
    params = [*(("command", word) for word in argv), ("stdout", "true"), ("stderr", "true")]
    async with asyncio.timeout(_STOP_SECONDS):
        socket = await open_exec(api, container, params)
        try:
            left = _ANSWER_BYTES
            while left > 0:
                message = await socket.receive(_STOP_SECONDS)
                if message is None or message[:1] == bytes([channels.STATUS]):
                    return
                left -= len(message) + PIECE_OVERHEAD
            socket.patient = False
        finally:
            background(socket.close())
