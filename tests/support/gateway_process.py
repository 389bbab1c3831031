"""Servers in processes of their own, with virtual sessions: what tests talk to over HTTP."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support import laptop
from tests.support.laptop import ROOT
from tests.support.patience import PATIENCE

__all__ = ["ALICE", "BOB", "ROOT", "gateway", "server", "virtual_environment"]

ALICE = {"X-Dev-User": "alice@example.com"}
BOB = {"X-Dev-User": "bob@example.com"}

_START_SECONDS = PATIENCE
_STOP_SECONDS = PATIENCE


def virtual_settings(folder: Path, **settings: str) -> dict[str, str]:
    """What makes a process serve virtual sessions on loopback.

    Args:
        folder: Where it keeps its sessions.
        settings: More variables.
    """
    return {
        "USE_MOCK_CONTAINER_ADAPTER": "true",
        "AUTH_MODE": "dev",
        "SESSION_STORE": "sqlite",
        "SQLITE_PATH": str(folder / "sessions.db"),
        "SESSION_IMAGE": "registry.example.com/gam:7",
        **settings,
    }


def virtual_environment(folder: Path, **settings: str) -> Mapping[str, str]:
    """The whole environment of such a process."""
    return laptop.base_environment(**virtual_settings(folder, **settings))


@contextlib.contextmanager
def gateway(folder: Path, **settings: str) -> Iterator[str]:
    """Runs the gateway with virtual sessions.

    Yields:
        Its base URL.
    """
    with laptop.gateway(folder / "server.log", **virtual_settings(folder, **settings)) as (_, url):
        yield url.replace("localhost", "127.0.0.1")


@contextlib.contextmanager
def server(
    command: Sequence[str], port: int, environment: Mapping[str, str], log: Path
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Runs a server until the block ends.

    Args:
        command: Starts it in the repository's root.
        port: Where it listens, on loopback.
        environment: All of its variables.
        log: Takes what it says.

    Yields:
        The process and its base URL.
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
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
