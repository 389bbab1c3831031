"""Exec without any code of ours, as the yardstick: a WebSocket of aiohttp to the API server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from shared.kube.api.connection import Connection
from shared.kube.pods.diagnosis import CONTAINER
from tests.support.client import Json

_PROTOCOL = "v5.channel.k8s.io"
_STATUS = 3
_FRAME = 64 * 1024
_END_OF_INPUT = b"\xff\x00"


class BareExec:
    """Runs commands in one session's pod over one warm aiohttp session.

    Args:
        http: The HTTP session, kept open for all commands.
        connection: TLS trust and token.
        session: The session as JSON, which names the pod.
    """

    def __init__(self, http: aiohttp.ClientSession, connection: Connection, session: Json) -> None:
        self._http = http
        self._connection = connection
        self._path = f"/api/v1/namespaces/{session['namespace']}/pods/{session['pod_name']}/exec"

    async def run(self, argv: list[str], stdin: AsyncIterator[bytes] | None = None) -> tuple[int, float]:
        """Runs a command and throws its output away.

        Args:
            argv: The command.
            stdin: Its input; None: no input.

        Returns:
            Bytes of output, and seconds until the command's status came.

        Raises:
            RuntimeError: The command failed.
        """
        params = [*(("command", word) for word in argv), ("container", CONTAINER)]
        params += [("stdout", "true"), ("stderr", "true"), ("stdin", "true" if stdin else "false")]
        received = 0
        started = time.perf_counter()
        authorization = await self._connection.credentials.authorization()
        async with self._http.ws_connect(
            self._connection.server + self._path,
            params=params,
            protocols=(_PROTOCOL,),
            headers={"Authorization": authorization} if authorization else {},
            ssl=self._connection.ssl_context or True,
            max_msg_size=16 * 1024 * 1024,
        ) as socket:
            sending = asyncio.create_task(_send(socket, stdin)) if stdin else None
            async for message in socket:
                data: bytes = message.data
                if data[0] == _STATUS:
                    elapsed = time.perf_counter() - started
                    _require_success(json.loads(data[1:]))
                    if sending:
                        await sending
                    return received, elapsed
                received += len(data) - 1
        raise RuntimeError(f"the exec of {argv} ended without a status")


async def _send(socket: aiohttp.ClientWebSocketResponse, stdin: AsyncIterator[bytes]) -> None:
    async for piece in stdin:
        for at in range(0, len(piece), _FRAME):
            await socket.send_bytes(b"\x00" + piece[at : at + _FRAME])
    await socket.send_bytes(_END_OF_INPUT)


def _require_success(status: dict[str, Any]) -> None:
    if status.get("status") != "Success":
        raise RuntimeError(f"the bare exec failed: {status}")
