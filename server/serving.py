"""Serves on a socket of this machine until the process is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Generator

import uvicorn
from starlette.types import ASGIApp

from shared.app.serve import KEEP_ALIVE_SECONDS
from shared.errors import ConfigurationError


class Server(uvicorn.Server):
    """Uvicorn that does not end the process by the signal it got: what we started must end first."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Asks the server to stop on SIGINT, SIGTERM, and when its terminal is closed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def listen(port: str) -> socket.socket:
    """A socket on loopback; port 0 takes a free port.

    Raises:
        ConfigurationError: The text is no port, or the port is taken.
    """
    # asyncio turns Nagle's algorithm off only if the protocol is named; otherwise a request takes 40 ms
    # longer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", int(port)))
    except (ValueError, OverflowError, OSError) as error:
        listener.close()
        raise ConfigurationError(f"PORT={port} cannot be served: {error}", variable="PORT") from error
    listener.listen(1024)
    return listener


async def serve(application: ASGIApp, listener: socket.socket) -> None:
    """Serves until a signal asks it to stop; open requests then have ten seconds to end.

    Raises:
        RuntimeError: The application's start failed; the log says why.
    """
    try:
        await Server(configuration(application)).serve(sockets=[listener])
    except SystemExit as error:
        raise RuntimeError("the server's start failed") from error


def configuration(application: ASGIApp) -> uvicorn.Config:
    """How uvicorn serves an application."""
    return uvicorn.Config(
        application,
        log_level="warning",
        timeout_graceful_shutdown=10,
        proxy_headers=False,
        ws="websockets-sansio",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        # By default, uvicorn takes an application whose start fails for one that has nothing to start.
        lifespan="on",
    )
