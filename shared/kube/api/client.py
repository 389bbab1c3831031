"""A thin client of the Kubernetes API: REST with retries, watch, and the upgrade to WebSocket.

Objects are plain dicts, as the API documents them. Importing the official client's
generated models would take longer than a function's whole start (docs/adr/0001).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol, TypeAlias

import aiohttp

from shared.core.telemetry import SILENT, Telemetry
from shared.errors import ClusterUnavailable
from shared.kube.api.connection import Connection
from shared.kube.api.decoding import decoded, lines, object_of
from shared.kube.api.errors import ApiError, public_message
from shared.kube.api.requests import KubeRequest, Refused, raise_refused
from shared.kube.api.retries import passes, patiently, untouched
from shared.reasons import Reason

JsonObject: TypeAlias = dict[str, Any]
Params: TypeAlias = Sequence[tuple[str, str]]

_CONNECT_SECONDS = 10.0
_UPGRADE_SECONDS = 20.0
"""Longest time for an upgrade to WebSocket, repetitions and waits included."""
RETRY_SECONDS = 6.0
"""The caller is told of a fault that lasts longer, because people wait for the answer."""
WATCH_STALL_SECONDS = 10.0


class Connector(Protocol):
    """Where connections come from, see ``shared.kube.connect.connector``."""

    async def connection(self) -> Connection:
        """The connection of this instance, looked up on first use."""
        ...

    def invalidate(self, connection: Connection) -> None:
        """Drops a connection that failed: it is looked up again next time."""
        ...


class KubeApi:
    """Talks to one cluster. Must be used on one event loop.

    Args:
        connector: Gives the connection, and is told when it fails.
        telemetry: Is told of each request.
    """

    def __init__(self, connector: Connector, telemetry: Telemetry = SILENT) -> None:
        self._connector = connector
        self._telemetry = telemetry
        self._session: aiohttp.ClientSession | None = None

    async def connection(self) -> Connection:
        """The connection in use; connects if necessary.

        Raises:
            ConnectionFailed: No source of a connection serves.
        """
        return await self._connector.connection()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params = (),
        body: JsonObject | Sequence[JsonObject] | None = None,
        content_type: str = "application/json",
        accept: str = "",
        idempotent: bool | None = None,
        timeout_seconds: float = 20.0,
    ) -> JsonObject:
        """Sends one request, and repeats it while that is safe and of use.

        Args:
            method: HTTP method.
            path: Path below the server's URL.
            params: Query parameters.
            body: Object to send, or the operations of a JSON patch.
            content_type: Media type of the body; PATCH has several.
            accept: Media type of the answer that is preferred to plain JSON; empty: none.
            idempotent: Whether a repetition is safe when the server may have done what was asked; by
                default all but POST and PATCH. What it refused untouched is repeated in any case.
            timeout_seconds: Longest time for everything, repetitions and waits included.

        Returns:
            The object answered.

        Raises:
            ApiError: The API refused the request.
            ClusterUnavailable: The API did not answer in time.
        """
        safe = idempotent if idempotent is not None else method not in ("POST", "PATCH")
        request = KubeRequest(method, path, params, body, content_type, accept, once=not safe)
        return await patiently(
            lambda: self._once(request),
            passes if safe else untouched,
            repeat_seconds=RETRY_SECONDS,
            timeout_seconds=timeout_seconds,
        )

    async def watch(
        self, path: str, *, params: Params, timeout_seconds: float
    ) -> AsyncGenerator[tuple[str, JsonObject], None]:
        """The events of a watch, until the server or the time ends it.

        Args:
            path: Path of the collection.
            params: Selectors and ``resourceVersion``.
            timeout_seconds: The server is asked to end the watch after this; a stream
                that stays open longer is cut.

        Yields:
            Type and object of each event. Bookmarks are left out.

        Raises:
            ApiError: The API refused, or sent an ERROR event (410 Expired: start over from a get).
            ClusterUnavailable: The API was not reached, or the stream broke.
        """
        seconds = max(1, round(timeout_seconds))
        query = [*params, ("watch", "1"), ("timeoutSeconds", str(seconds)), ("allowWatchBookmarks", "true")]
        timeout = aiohttp.ClientTimeout(total=seconds + 5, sock_connect=_CONNECT_SECONDS)
        try:
            with self._telemetry.kubernetes("WATCH", path):
                async with self._send(KubeRequest("GET", path, query), timeout) as response:
                    async for line in lines(response.content):
                        event = decoded(line)
                        kind, item = event["type"], dict(event["object"])
                        if kind == "ERROR":
                            raise ApiError.from_answer(int(item.get("code", 500)), item, {})
                        if kind != "BOOKMARK":
                            yield kind, item
        except (TimeoutError, aiohttp.ClientError, ValueError, KeyError, TypeError, OverflowError) as error:
            raise ClusterUnavailable("the watch broke") from error

    async def websocket(
        self, path: str, *, params: Params, protocols: Sequence[str], max_message_bytes: int
    ) -> aiohttp.ClientWebSocketResponse:
        """Upgrades to a WebSocket. What was refused has not begun, so it is repeated as requests are.

        Args:
            path: Path of the subresource.
            params: Query parameters; a name may repeat.
            protocols: Subprotocols in order of preference.
            max_message_bytes: A longer message ends the connection before it is read.

        Raises:
            ApiError: The API refused the upgrade.
            ClusterUnavailable: The API was not reached.
        """
        request = KubeRequest("GET", path, params, upgrade=True)

        async def attempt() -> aiohttp.ClientWebSocketResponse:
            with self._telemetry.kubernetes(request.method, request.path):
                return await self._upgrade(request, protocols, max_message_bytes)

        return await patiently(
            attempt,
            passes,
            repeat_seconds=RETRY_SECONDS,
            timeout_seconds=_UPGRADE_SECONDS,
        )

    async def close(self) -> None:
        """Closes all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _upgrade(
        self, request: KubeRequest, protocols: Sequence[str], max_message_bytes: int
    ) -> aiohttp.ClientWebSocketResponse:
        session, connection = await self._open()
        for refresh in (False, True):
            try:
                return await session.ws_connect(
                    connection.server + request.path,
                    params=list(request.params),
                    protocols=protocols,
                    headers=await _headers(connection, refresh=refresh),
                    ssl=connection.ssl_context or True,
                    server_hostname=connection.server_hostname,
                    proxy=connection.proxy,
                    autoping=True,
                    max_msg_size=max_message_bytes,
                    timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                )
            except Refused as refusal:
                if refusal.code == 401 and not refresh:
                    continue
                raise request.refused(refusal) from None
            except aiohttp.WSServerHandshakeError as error:  # accepted, by something that is no WebSocket
                raise ApiError(error.status, "UpgradeRefused", error.message) from error
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise self._unreachable(connection, error) from error
        raise AssertionError("the second try returns or raises")

    async def _open(self) -> tuple[aiohttp.ClientSession, Connection]:
        connection = await self._connector.connection()
        if self._session is None:
            # One session serves each connection in turn, as address, TLS and proxy belong to the request:
            # while a cluster is away each try looks a connection up, and streams over old ones may live.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
                auto_decompress=True,
                timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS),
                raise_for_status=raise_refused,
            )
        return self._session, connection

    async def _once(self, request: KubeRequest) -> JsonObject:
        with self._telemetry.kubernetes(request.method, request.path):
            answer: Any = None
            # The error of a broken or foreign answer is dropped: it holds the text, which may be a Secret's.
            with contextlib.suppress(aiohttp.ClientError, ValueError):
                async with self._send(request) as response:
                    answer = await object_of(response)
            if not isinstance(answer, dict):
                raise ClusterUnavailable("the Kubernetes API answered something that is no object")
            return answer

    @contextlib.asynccontextmanager
    async def _send(
        self, request: KubeRequest, timeout: aiohttp.ClientTimeout | None = None
    ) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        session, connection = await self._open()
        data = None if request.body is None else json.dumps(request.body).encode()
        for refresh in (False, True):
            # An upgrade must not have this header: the exec subresource answers 406 to it.
            accepted = ", ".join(part for part in (request.accept, "application/json") if part)
            headers = {"Accept": accepted, **await _headers(connection, refresh=refresh)}
            if data is not None:
                headers["Content-Type"] = request.content_type
            try:
                async with session.request(
                    request.method,
                    connection.server + request.path,
                    params=list(request.params),
                    data=data,
                    headers=headers,
                    ssl=connection.ssl_context or True,
                    server_hostname=connection.server_hostname,
                    proxy=connection.proxy,
                    timeout=timeout or session.timeout,
                    allow_redirects=False,
                    middlewares=request.middlewares,
                ) as response:
                    yield response
                    return
            except Refused as refusal:
                if refusal.code == 401 and not refresh:
                    continue
                raise request.refused(refusal) from None
            except (aiohttp.ClientConnectionError, OSError) as error:
                raise self._unreachable(connection, error) from error

    def _unreachable(self, connection: Connection, error: Exception) -> ClusterUnavailable:
        """Drops the connection, as the endpoint or its certificate may have changed; returns the error."""
        self._connector.invalidate(connection)
        reason = (
            Reason.CLUSTER_CERTIFICATE
            if isinstance(error, aiohttp.ClientSSLError)
            else Reason.CLUSTER_UNREACHABLE
        )
        return ClusterUnavailable(
            f"the Kubernetes API of {connection.cluster} ({connection.method}) is not reached: "
            f"{public_message(str(error) or type(error).__name__)}",
            reason=reason,
            cluster=connection.cluster,
            method=connection.method,
        )


async def _headers(connection: Connection, *, refresh: bool) -> dict[str, str]:
    authorization = await connection.credentials.authorization(refresh=refresh)
    headers = {"User-Agent": "gamgui"}
    if authorization is not None:
        headers["Authorization"] = authorization
    return headers
