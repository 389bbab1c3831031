"""The least of a Kubernetes API server: ``GET /version`` over TLS for whoever shows the right token."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from aiohttp import web

from tests.support.tls import Authority, KeyPair, server_context
from tests.support.web_server import WebServer


class ApiServer(WebServer):
    """Demands a bearer token and says who it is.

    Attributes:
        accepted: Authorization headers that are let in; None: anyone.
        seen: The Authorization header of each request, empty if it had none.
        peers: The common name of each request's client certificate, None if it had none.
    """

    def __init__(
        self,
        pair: KeyPair,
        *,
        accepted: Collection[str] | None = None,
        client_authority: Authority | None = None,
        name: str = "v1.36.0",
    ) -> None:
        super().__init__(context=server_context(pair, client_authority=client_authority))
        self.accepted = accepted
        self.seen: list[str] = []
        self.peers: list[str | None] = []
        self._name = name
        self.app.router.add_get("/{path:.*}", self._version)

    async def _version(self, request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "")
        self.seen.append(token)
        self.peers.append(_common_name(request))
        if self.accepted is not None and token not in self.accepted:
            status = {"kind": "Status", "code": 401, "reason": "Unauthorized", "message": "Unauthorized"}
            return web.json_response(status, status=401)
        return web.json_response({"gitVersion": self._name, "path": request.path})


def _common_name(request: web.Request) -> str | None:
    certificate: dict[str, Any] = request.transport.get_extra_info("peercert") if request.transport else {}
    for part in (certificate or {}).get("subject", ()):
        for key, value in part:
            if key == "commonName":
                return str(value)
    return None
