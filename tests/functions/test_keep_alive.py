"""An idle connection is kept for longer than clients and proxies keep it, by every server that we start."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import socket
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn_worker import UvicornWorker  # type: ignore[import-untyped] # it has no annotations

from server import serving
from server.functions import function_list
from shared.app import serve
from tests.support.gateway_process import ALICE, ROOT, server, virtual_environment
from tests.support.patience import PATIENCE
from tests.support.ports import free_port

GOOGLE_SECONDS, GO_SECONDS, AIOHTTP_SECONDS = 600, 90, 15
LONGEST_SECONDS = max(GOOGLE_SECONDS, GO_SECONDS, AIOHTTP_SECONDS)


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(b"")(scope, receive, send)


def test_a_function_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    made = serve.application("health", "functions/health/main.py", "127.0.0.1", free_port())
    worker = UvicornWorker(0, 0, [], made, 0, made.cfg, made.cfg.logger_class(made.cfg))
    with contextlib.closing(worker.tmp):
        assert worker.config.timeout_keep_alive > LONGEST_SECONDS


async def test_the_gateway_keeps_it() -> None:
    configuration = serving.configuration(_answer)
    configuration.lifespan = "off"
    gateway = serving.Server(configuration)
    with contextlib.closing(serving.listen("0")) as listener:
        running = asyncio.create_task(gateway.serve(sockets=[listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        async with asyncio.timeout(PATIENCE):
            for _ in range(2):
                writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await reader.readuntil(b"\r\n\r\n")
                # The server's own alarm, set when the answer has gone out, ends the connection.
                (connection,) = gateway.server_state.connections
                while (alarm := cast(Any, connection).timeout_keep_alive_task) is None:
                    await asyncio.sleep(0)
                assert alarm.when() - asyncio.get_running_loop().time() > LONGEST_SECONDS
            gateway.should_exit = True
            await running
        writer.close()


def test_the_image_serves_with_the_server_that_keeps_it() -> None:
    (command,) = re.findall(r"^CMD (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert json.loads(command) == ["python", "-m", serve.__name__]
    own = [name for name, function in function_list().items() if "command" in function]
    assert not own, "a function with a command of its own must keep idle connections too"


def test_requests_of_one_client_share_a_connection_with_other_work_in_between(tmp_path: Path) -> None:
    port = free_port()
    command = [
        *(sys.executable, "-m", "shared.app.serve"),
        *("--source", "functions/health/main.py", "--target", "health"),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
    with server(command, port, virtual_environment(tmp_path), tmp_path / "server.log"):
        kept = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        sockets: set[socket.socket] = set()
        for _ in range(3):
            kept.request("GET", "/healthz", headers=ALICE)
            answer = kept.getresponse()
            assert (answer.status, json.loads(answer.read())) == (200, {"status": "ok"})
            assert not answer.will_close
            assert kept.sock is not None
            sockets.add(kept.sock)
        assert len(sockets) == 1
        kept.close()
