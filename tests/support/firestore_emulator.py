"""Firestore's emulator as a child process: found in the Google Cloud SDK, run with Java.

Usable without pytest::

    with firestore_emulator() as host:
        store = FirestoreStore(project="bench", emulator_host=host, clock=clock)
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from tests.support.patience import PATIENCE
from tests.support.ports import free_port

START_SECONDS = PATIENCE
_SHORT_LIVED = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""A process of a few minutes never earns back what the optimizing compiler and parallel collectors cost."""
STOP_SECONDS = PATIENCE

_FOLDER = Path("platform/cloud-firestore-emulator")
_JAR = "cloud-firestore-emulator.jar"
_MAIN = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"


class EmulatorAbsentError(Exception):
    """The emulator or Java is not on this machine; says what is missing."""


@contextlib.contextmanager
def firestore_emulator(environ: Mapping[str, str] | None = None) -> Iterator[str]:
    """A running emulator: the one that FIRESTORE_EMULATOR_HOST names, else one of our own.

    Args:
        environ: The environment; the process's own by default.

    Returns:
        host:port, while the context lasts.

    Raises:
        EmulatorAbsentError: There is none, and none can be started.
        TimeoutError: It did not answer within ``START_SECONDS``.
    """
    environ = os.environ if environ is None else environ
    if host := environ.get("FIRESTORE_EMULATOR_HOST"):
        yield host
        return
    command = emulator_command(environ)
    port = free_port()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*command, "--host=127.0.0.1", f"--port={port}"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_it_answers(process, port, output)
            yield f"127.0.0.1:{port}"
        finally:
            stop(process)


def emulator_command(environ: Mapping[str, str]) -> list[str]:
    """The command that starts the emulator, without its address.

    Raises:
        EmulatorAbsentError: The SDK's component or Java is not found.
    """
    java = environ.get("JAVA") or shutil.which("java", path=environ.get("PATH"))
    if java is None:
        raise EmulatorAbsentError("Firestore's emulator needs Java, and there is no `java` on PATH")
    for root in _sdk_roots(environ):
        jar = root / _FOLDER / _JAR
        if jar.is_file():
            # As the SDK's own script does; its error messages are in English only.
            return [java, *_SHORT_LIVED, "-Duser.language=en", "-Xmx512m", "-cp", str(jar), _MAIN]
    raise EmulatorAbsentError(
        "Firestore's emulator is not in the Google Cloud SDK: "
        "`gcloud components install cloud-firestore-emulator`"
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and all of its group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
            return


def _sdk_roots(environ: Mapping[str, str]) -> Iterator[Path]:
    if root := environ.get("CLOUDSDK_ROOT_DIR"):
        yield Path(root)
    if gcloud := shutil.which("gcloud", path=environ.get("PATH")):
        yield Path(gcloud).resolve().parent.parent


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, output: IO[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            output.seek(0)
            said = output.read()[-2000:].decode(errors="replace")
            raise TimeoutError(f"Firestore's emulator does not answer; it said: {said}")
        time.sleep(0.05)
