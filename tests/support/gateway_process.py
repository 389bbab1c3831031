"""Servers in processes of their own, with virtual sessions: what tests talk to over HTTP."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ALICE = {"X-Dev-User": "alice@example.com"}
BOB = {"X-Dev-User": "bob@example.com"}

_START_SECONDS = 40.0
_STOP_SECONDS = 20.0


def virtual_environment(folder: Path, **settings: str) -> Mapping[str, str]:
    """The environment of a process that serves virtual sessions on loopback.

    Args:
        folder: Where it keeps its sessions.
        settings: More variables.
    """
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    return {
        **kept,
        "USE_MOCK_CONTAINER_ADAPTER": "true",
        "AUTH_MODE": "dev",
        "SESSION_STORE": "sqlite",
        "SQLITE_PATH": str(folder / "sessions.db"),
        "SESSION_IMAGE": "registry.example.com/gam:7",
        "PYTHONUNBUFFERED": "1",
        **settings,
    }


@contextlib.contextmanager
def gateway(folder: Path, **settings: str) -> Iterator[str]:
    """Runs the gateway; see ``server``."""
    port = free_port()
    environment = virtual_environment(folder, PORT=str(port), **settings)
    with server([sys.executable, "-m", "local.serve"], port, environment, folder / "server.log") as url:
        yield url


@contextlib.contextmanager
def server(command: Sequence[str], port: int, environment: Mapping[str, str], log: Path) -> Iterator[str]:
    """Runs a server until the block ends.

    Args:
        command: Starts it in the repository's root.
        port: Where it listens, on loopback.
        environment: All of its variables.
        log: Takes what it says.

    Yields:
        Its base URL.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _listens(port):
            assert process.poll() is None, f"{command} ended: {log.read_text()}"
            assert time.monotonic() < deadline, f"{command} does not listen: {log.read_text()}"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
