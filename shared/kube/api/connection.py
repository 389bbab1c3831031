"""How a cluster is reached: its address, whom to trust, and how to authenticate."""

from __future__ import annotations

import dataclasses
import ssl
from typing import Protocol


class Credentials(Protocol):
    """What to show the API server."""

    async def authorization(self, *, refresh: bool = False) -> str | None:
        """The value of the Authorization header; None when the client certificate suffices.

        Args:
            refresh: The server refused the last value (401): get a new one.

        Raises:
            ConnectionFailed: No credentials can be had; the error says why and what to do.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A cluster that can be talked to.

    Attributes:
        method: Source of the connection: ``gke``, ``kubeconfig-base64``, ``kubeconfig``,
            ``in-cluster`` or ``home-kubeconfig``.
        cluster: Name for people: GKE's resource name or the kubeconfig's cluster name.
        server: Base URL of the API server, without a trailing slash.
        credentials: What to show the API server.
        ssl_context: Trust and client certificate; None for plain HTTP.
        server_hostname: Name to verify in the server's certificate when it is not the URL's.
        proxy: URL of an HTTP proxy to reach the server by.
    """

    method: str
    cluster: str
    server: str
    credentials: Credentials
    ssl_context: ssl.SSLContext | None = None
    server_hostname: str | None = None
    proxy: str | None = None
