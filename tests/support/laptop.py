"""Starts the local cluster and the gateway as processes, as ``make`` does."""

from __future__ import annotations

import atexit
import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Mapping
from functools import cache
from pathlib import Path

from tests.support.patience import PATIENCE

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = PATIENCE

# What a test process may have set must not decide what a gateway under test connects to.
_INHERITED = ("PATH", "LANG", "TMPDIR", "PYTHONPATH", "PYTHONHASHSEED")

# Tests and benchmarks want to know how much gets through, not what a limit lets through.
UNLIMITED = {"REQUEST_RATE_PER_MINUTE": "1000000", "REQUEST_BURST": "1000000"}


def base_environment(**variables: str) -> dict[str, str]:
    """An environment with nothing of the developer's in it but what processes need."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**inherited, "HOME": _home(), "PYTHONUNBUFFERED": "1", **variables}


@cache
def _home() -> str:
    """An empty home folder: without HOME a program finds the developer's (gunicorn leaves a folder there)."""
    folder = tempfile.mkdtemp(prefix="home-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextlib.contextmanager
def process(
    arguments: list[str], environment: Mapping[str, str], ready: str, log: Path
) -> Generator[tuple[subprocess.Popen[str], str]]:
    """Runs ``python arguments...`` until the context ends.

    Args:
        arguments: Of the interpreter.
        environment: Of the process.
        ready: The line of its output that holds this text says that it serves.
        log: Takes its standard error.

    Yields:
        The process and that line.
    """
    with log.open("w") as stderr:
        child = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    watchdog = threading.Timer(START_SECONDS, child.kill)
    watchdog.start()
    try:
        assert child.stdout is not None
        line = next((text.strip() for text in child.stdout if ready in text), "")
        watchdog.cancel()
        if not line:
            raise RuntimeError(f"{arguments} did not start:\n{log.read_text()[-3000:]}")
        yield child, line
    finally:
        watchdog.cancel()
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()


@contextlib.contextmanager
def local_cluster(folder: Path, images: Path | None = None) -> Generator[str]:
    """The local cluster in a process of its own.

    Yields:
        Path of its kubeconfig.
    """
    arguments = ["-m", "local.cluster", "--dir", str(folder), *(["--images", str(images)] if images else [])]
    with process(arguments, base_environment(), "export KUBECONFIG=", folder.parent / "cluster.log") as (
        _,
        line,
    ):
        yield shlex.split(line)[1].partition("=")[2]


@contextlib.contextmanager
def gateway(log: Path, **variables: str) -> Generator[tuple[subprocess.Popen[str], str]]:
    """All functions under one host, with these settings and no others.

    Yields:
        The process and its URL.
    """
    environment = base_environment(PORT="0", **(UNLIMITED | variables))
    with process(["-m", "local.serve"], environment, "http://", log) as (child, line):
        yield child, "http://" + line.partition("http://")[2]
