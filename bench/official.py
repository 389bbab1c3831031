"""Exec by the official Python client, for comparison: protocol v4 over aiohttp, models of pydantic."""

from __future__ import annotations

import time
from collections.abc import Sequence

from shared.kube.pods.diagnosis import CONTAINER
from tests.support.client import Json
from tests.support.official import Official, exit_code


class OfficialExec:
    """Runs commands in one session's pod over one client.

    Args:
        client: The client, kept for all commands.
        session: The session as JSON, which names the pod.
    """

    def __init__(self, client: Official, session: Json) -> None:
        self._client = client
        self._session = session

    async def run(self, argv: Sequence[str]) -> tuple[int, float]:
        """Runs a command and throws its output away.

        Returns:
            Bytes of output, and seconds until the command ended.

        Raises:
            RuntimeError: The command failed.
        """
        namespace, pod = self._session["namespace"], self._session["pod_name"]
        received, last = 0, b""
        started = time.perf_counter()
        async for _, data in self._client.messages(namespace, pod, argv, CONTAINER):
            received += len(last)
            last = data
        elapsed = time.perf_counter() - started
        if exit_code(last) != 0:
            raise RuntimeError(f"the official client's exec of {argv} failed")
        return received, elapsed
