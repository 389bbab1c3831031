"""Routes as an application under test: no server, no process."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import httpx
from starlette.types import ASGIApp

from shared.core.telemetry import SILENT, Telemetry
from shared.errors import GamguiError
from shared.identity.dev import DevVerifier
from shared.settings.platform import PlatformSettings
from shared.web.http.entry import Application, Entry
from shared.web.http.rates import RequestRates
from shared.web.http.routing import AnyRoute


@dataclasses.dataclass(slots=True)
class WebApp:
    """What endpoints need of the composition root, and nothing else."""

    platform: PlatformSettings = dataclasses.field(default_factory=PlatformSettings)
    verifier: DevVerifier = dataclasses.field(default_factory=DevVerifier)
    rates: RequestRates = dataclasses.field(
        default_factory=lambda: RequestRates(per_minute=1_000_000, burst=1_000_000)
    )
    telemetry: Telemetry = SILENT


def serving(routes: Sequence[AnyRoute], app: Callable[[], Application] = WebApp) -> Entry:
    """An ASGI application that serves the routes as a function does."""
    return Entry(app, routes, "tested")


async def ask(
    application: ASGIApp,
    path: str = "/",
    *,
    method: str = "GET",
    headers: Mapping[str, str | bytes] | None = None,
    **options: Any,
) -> httpx.Response:
    """One request from alice on loopback; what the application raises is raised."""
    transport = httpx.ASGITransport(application, client=("127.0.0.1", 50_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        # httpx takes text and bytes side by side, which its annotations do not say.
        sent: Any = {"X-Dev-User": "alice@example.com", **(headers or {})}
        return await client.request(method, path, headers=sent, **options)


def raising(error: Exception | GamguiError) -> Callable[[Any], Awaitable[Any]]:
    """A handler that fails."""

    async def handler(_: Any) -> Any:
        raise error

    return handler
