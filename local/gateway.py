"""All functions under one host: each runs as functions-framework runs it, chosen by method and path."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import logging
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import functions_framework.aio
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.errors import GamguiError
from shared.web.http.entry import Entry
from shared.web.http.routing import AnyRoute

if TYPE_CHECKING:
    from shared.app.composition import App

ROOT = Path(__file__).resolve().parent.parent

log = logging.getLogger("gamgui.gateway")


@dataclasses.dataclass(frozen=True, slots=True)
class Function:
    """One function.

    Attributes:
        name: Of its folder.
        entry: Serves them; for what functions-framework does not take.
        application: What functions-framework makes of it.
    """

    name: str
    entry: Entry
    application: ASGIApp

    @property
    def routes(self) -> Sequence[AnyRoute]:
        """What it serves."""
        return self.entry.routes


def load_functions(folder: Path = ROOT / "functions") -> list[Function]:
    """Loads every function of the folder.

    Args:
        folder: Holds one folder per function, each with a ``main.py``.
    """
    return [_load(source) for source in sorted(folder.glob("*/main.py"))]


def _load(source: Path) -> Function:
    name = source.parent.name
    spec = importlib.util.spec_from_file_location(f"functions_{name}", source)
    assert spec is not None and spec.loader is not None, "a Python file has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    make_application: Callable[..., ASGIApp] = functions_framework.aio.create_asgi_app_from_module
    return Function(name, module.ENTRY, make_application(name, str(source), "http", module, spec))


class Gateway:
    """An ASGI application that hands each request to the function that serves it.

    Args:
        functions: As loaded.
        app: The composition root that the functions share, closed at the end.
    """

    def __init__(self, functions: Sequence[Function], app: App) -> None:
        self._functions = functions
        self._app = app
        # It refuses as no function alone can: it knows all methods of a path.
        routes = [route for function in functions for route in function.routes]
        self._entry = Entry(lambda: app, routes, "gateway")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection, or the lifespan of the server."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await self._choose(scope)(scope, receive, send)

    def _choose(self, scope: Scope) -> ASGIApp:
        """The function that serves the request; for what none does, our own answer: 404 or 405.

        The framework serves no WebSocket, and its router takes no line break in a path: a WebSocket
        goes to the function's own entry, and a line break to ours.
        """
        for function in self._functions:
            if any(route.matches(scope)[0] is Match.FULL for route in function.routes):
                framework = scope["type"] == "http" and "\n" not in scope["path"]
                return function.application if framework else function.entry
        return self._entry

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        async with self._ready():
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    @contextlib.asynccontextmanager
    async def _ready(self) -> AsyncGenerator[None, None]:
        try:
            await ensure_namespace(self._app)
        except GamguiError as error:
            log.warning("the namespace could not be made: %s", error.detail)
        try:
            yield
        finally:
            await self._app.close()


async def ensure_namespace(app: App) -> None:
    """Makes the namespace of the sessions when it is missing. On a laptop only: Terraform does it elsewhere.

    Raises:
        GamguiError: The cluster is not reached, or does not allow it.
    """
    if app.settings.virtual.only:
        return
    from shared.kube.api.client import KubeApi
    from shared.kube.api.errors import ApiError
    from shared.kube.connect.connector import ClusterConnector

    api = KubeApi(ClusterConnector(app.settings.cluster))
    metadata = {
        "name": app.settings.pods.namespace,
        "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
    }
    try:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        await api.request("POST", "/api/v1/namespaces", body=body, idempotent=True)
    except ApiError as error:
        if error.kubernetes_reason != "AlreadyExists":
            raise
    finally:
        await api.close()
