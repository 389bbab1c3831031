"""An aiohttp application on a free loopback port."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Self

from aiohttp import web


class WebServer:
    """Base of the test servers: subclasses add routes to ``app`` before it starts."""

    def __init__(self, *, context: ssl.SSLContext | None = None) -> None:
        self.app = web.Application()
        self._context = context
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def address(self) -> str:
        """host:port, the host as an IP address."""
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._runner = web.AppRunner(self.app, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._context)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()


@contextlib.asynccontextmanager
async def served(app: web.Application) -> AsyncGenerator[str, None]:
    """Serves an application on a free loopback port; gives its URL. Open connections are cut at the end."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
