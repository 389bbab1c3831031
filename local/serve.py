"""``make gateway`` and ``make run``: serves all functions on this machine.

python -m local.serve            against whatever the environment names
python -m local.serve --laptop   with the local cluster, unless the environment names one
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shlex
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import uvicorn

from local.images import IMAGES, LOCAL_IMAGE, prepare_image
from shared.errors import ConfigurationError

_CLUSTER_SOURCES = ("GKE_CLUSTER_NAME", "KUBECONFIG_BASE64", "KUBECONFIG", "KUBERNETES_SERVICE_HOST")
STATE = Path(".local").resolve()
_START_SECONDS = 30.0


async def main(arguments: list[str]) -> int:
    """Serves until it is told to stop.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m local.serve", description=__doc__)
    parser.add_argument("--laptop", action="store_true", help="start the local cluster unless one is named")
    options = parser.parse_args(arguments)
    os.environ.setdefault("AUTH_MODE", "dev")
    os.environ.setdefault("SESSION_STORE", "sqlite")
    async with contextlib.AsyncExitStack() as stack:
        virtual = os.environ.get("USE_MOCK_CONTAINER_ADAPTER", "").lower() == "true"
        if options.laptop and not virtual and not any(os.environ.get(name) for name in _CLUSTER_SOURCES):
            os.environ["KUBECONFIG"] = await stack.enter_async_context(local_cluster())
            os.environ.setdefault("SESSION_IMAGE", LOCAL_IMAGE)
        try:
            return await _serve(os.environ.get("PORT") or "8080", laptop=options.laptop)
        except ConfigurationError as error:
            print(f"{error.reason}: {error.detail}", file=sys.stderr)
            return 2


class _Server(uvicorn.Server):
    """Uvicorn, which would end the process with the signal it got; what we started must end first."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Asks the server to stop on SIGINT, SIGTERM, and when its terminal is closed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def _listen(port: str) -> socket.socket:
    """A socket on loopback; 0 takes a free port.

    Raises:
        ConfigurationError: The port is none, or is taken.
    """
    # asyncio turns Nagle's algorithm off only where the protocol is named: 40 ms a request otherwise.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", int(port)))
    except (ValueError, OverflowError, OSError) as error:
        listener.close()
        raise ConfigurationError(f"PORT={port} cannot be served: {error}", variable="PORT") from error
    listener.listen(1024)
    return listener


async def _serve(port: str, *, laptop: bool) -> int:
    from local.gateway import Gateway, load_functions
    from local.scheduler import scheduled
    from shared.app import app

    gateway = Gateway(load_functions(), app())
    listener = _listen(port)
    config = uvicorn.Config(gateway, log_level="warning", timeout_graceful_shutdown=10, proxy_headers=False)
    server = _Server(config)
    print(f"GAMGUI session functions: http://localhost:{listener.getsockname()[1]}", flush=True)
    async with scheduled(app().cleanup) if laptop else contextlib.nullcontext():
        await server.serve(sockets=[listener])
    return 0


@contextlib.asynccontextmanager
async def local_cluster() -> AsyncGenerator[str, None]:
    """Runs the local cluster in a process of its own.

    Yields:
        Path of its kubeconfig.

    Raises:
        RuntimeError: It did not start.
    """
    prepare_image()
    folder = tempfile.TemporaryDirectory(prefix="cluster-", dir=STATE)
    command = ("-m", "local.cluster", "--dir", folder.name, "--images", str(IMAGES), "--until-eof")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None, "asked for a pipe"
    try:
        async with asyncio.timeout(_START_SECONDS):
            async for line in process.stdout:
                text = line.decode().rstrip()
                print(text, flush=True)
                if text.startswith("export KUBECONFIG="):
                    break
            else:
                raise RuntimeError("the local cluster did not start")
        yield shlex.split(text)[1].partition("=")[2]
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        folder.cleanup()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
