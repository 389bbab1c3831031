"""Measures one function's instance, alone under functions-framework, from its start to its first answer."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from bench import memory
from tests.support.laptop import ROOT, base_environment
from tests.support.ports import free_port

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.001


@dataclasses.dataclass(frozen=True, slots=True)
class Start:
    """The costs of one start.

    Attributes:
        seconds: From the spawning of the process to the end of its first answer.
        resident_mib: Memory that the answering process holds then, in MiB.
    """

    seconds: float
    resident_mib: float


def first_answer(source: str, target: str, settings: dict[str, str], request: bytes, log: Path) -> Start:
    """Starts a function, sends it one request and ends it.

    Args:
        source: Path of the function's main.py, from the repository's root.
        target: Name of the function in that file.
        settings: The environment of the process.
        request: An HTTP/1.1 request that asks to close the connection.
        log: The file for its output.

    Raises:
        RuntimeError: The function did not answer 200.
    """
    port = free_port()
    command = [sys.executable, "-m", "shared.app.serve"]
    command += ["--source", source, "--target", target, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("w") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=base_environment(**settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            answer = _ask(process, port, request, started + _START_SECONDS)
            seconds = time.perf_counter() - started
            # gunicorn's worker is the largest of the processes; its master never loads the function.
            resident = max(memory.resident_mib(pid) for pid in memory.family(process.pid))
        finally:
            _end(process)
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"{target} answered {answer[:1000]!r}; its log: {log.read_text()[-2000:]}")
    return Start(seconds, resident)


def _ask(process: subprocess.Popen[bytes], port: int, request: bytes, deadline: float) -> bytes:
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            with socket.create_connection(("127.0.0.1", port), timeout=_START_SECONDS) as connection:
                connection.sendall(request)
                answer = bytearray()
                while received := connection.recv(65536):
                    answer += received
            return bytes(answer)
        if process.poll() is not None or time.perf_counter() > deadline:
            raise RuntimeError("the function does not listen")
        time.sleep(_POLL_SECONDS)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
            return
