"""A process as Cloud Run starts it, for tests: reaches the cluster whenever a line says so.

Reads lines from stdin. ``get`` with a number requests ``/version`` of the cluster within
so many seconds, ``modules`` tells what is imported; each is answered with a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from shared.errors import GamguiError
from shared.kube.api.client import KubeApi
from shared.kube.connect.connector import ClusterConnector
from shared.settings import Settings


async def main() -> None:
    api = KubeApi(ClusterConnector(Settings.from_env(os.environ).cluster))
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            command, *arguments = line.split()
            answer = sorted(sys.modules) if command == "modules" else await get(api, float(arguments[0]))
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
    finally:
        await api.close()


async def get(api: KubeApi, timeout_seconds: float) -> dict[str, Any]:
    try:
        connection = await api.connection()
        answer = await api.request("GET", "/version", timeout_seconds=timeout_seconds)
        return {"method": connection.method, "server": connection.server, **answer}
    except GamguiError as error:
        return {"reason": error.reason, "detail": error.detail, **error.fields}


if __name__ == "__main__":
    asyncio.run(main())
