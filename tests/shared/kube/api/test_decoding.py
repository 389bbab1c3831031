"""Whatever answers in the API server's place: what is read of it is bounded, and costs no more than it is."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from aiohttp import web

from shared.errors import ClusterUnavailable
from shared.kube.api.client import KubeApi
from shared.kube.api.decoding import MAX_OBJECT_BYTES, lines
from shared.kube.api.errors import ApiError
from tests.shared.kube.api.test_client import closing, watched
from tests.support.exec_server import api_at
from tests.support.growth import seconds
from tests.support.kube_server import Answer, KubeServer, failure
from tests.support.web_server import served

MIB = 1024 * 1024
TOO_LARGE = "CLUSTER_ANSWER_TOO_LARGE"


class Content:
    """What a connection brings, in pieces; counts what is taken of it."""

    def __init__(self, pieces: Any) -> None:
        self._pieces = pieces
        self.taken = 0

    async def iter_any(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            self.taken += len(piece)
            yield piece


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


async def read(content: Content) -> list[bytes]:
    return [line async for line in lines(content)]  # type: ignore[arg-type] # a stand-in for a stream


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
async def test_lines_are_the_same_however_they_are_cut(size: int) -> None:
    data = b"\n\nfirst\nsecond line\n\n" + b"x" * 500 + b"\nrest"
    assert await read(Content(cut(data, size))) == [b"first", b"second line", b"x" * 500]


@pytest.mark.parametrize("size", [1000, 65536, 17 * MIB])
async def test_of_a_line_that_never_ends_no_more_is_read_than_an_object_may_have(size: int) -> None:
    content = Content(b"x" * size for _ in range(10**9))
    with pytest.raises(ClusterUnavailable) as refused:
        await read(content)
    assert refused.value.reason == TOO_LARGE
    assert content.taken <= MAX_OBJECT_BYTES + size


@pytest.mark.parametrize("part", [b"x", b"x" * 300_000 + b"\n"])
def test_a_line_in_crumbs_costs_no_more_the_longer_it_is(part: bytes) -> None:
    """Compared with plain passes over the same pieces: a quadratic reader takes a thousand of them."""
    pieces = cut(part * (2 * MIB // len(part)), 256)

    def passed() -> None:
        for piece in pieces:
            bytearray().extend(piece)
            piece.split(b"\n")

    def work() -> None:
        with contextlib.suppress(StopIteration):
            read(Content(pieces)).send(None)

    assert seconds(work) <= 30 * seconds(passed) + 0.005


class Endless:
    """An HTTP server that answers without an end; counts what it got rid of."""

    def __init__(self, piece: bytes, status: int) -> None:
        self._piece, self._status = piece, status
        self.requests = 0
        self.url = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Endless]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        async with served(app) as self.url:
            yield self

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        response = web.StreamResponse(status=self._status)
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(self._piece)
                await asyncio.sleep(0)
        return response


async def get(api: KubeApi) -> Any:
    return await api.request("GET", "/x", timeout_seconds=300)


Asking = Callable[[KubeApi], Coroutine[Any, Any, Any]]


@pytest.mark.parametrize("ask", [get, lambda api: watched(api, 300)], ids=["request", "watch"])
async def test_an_answer_without_an_end_is_told_as_what_it_is_and_not_asked_for_again(ask: Asking) -> None:
    async with Endless(b"x" * MIB, 200).running() as server, closing(api_at(server.url)) as api:
        with pytest.raises(ClusterUnavailable) as refused:
            await ask(api)
    assert refused.value.reason == TOO_LARGE
    assert server.requests == 1


async def test_of_a_refusal_without_an_end_only_the_beginning_is_read() -> None:
    async with Endless(b"x" * MIB, 404).running() as server, closing(api_at(server.url)) as api:
        with pytest.raises(ClusterUnavailable):
            await get(api)


@pytest.mark.parametrize("status", [200, 404])
async def test_an_answer_that_grows_when_it_is_unpacked_is_not_unpacked_to_its_end(status: int) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(MIB)) for _ in range(128)) + packer.flush()

    async def answer(request: web.Request) -> web.Response:
        assert "gzip" in request.headers["Accept-Encoding"]
        return web.Response(status=status, body=bomb, headers={"Content-Encoding": "gzip"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with served(app) as url, closing(api_at(url)) as api:
        tracemalloc.start()
        try:
            with pytest.raises(ClusterUnavailable):
                await get(api)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak <= 2 * MAX_OBJECT_BYTES


@pytest.mark.parametrize("size", [1, 7, 60, 1000])
async def test_a_refusal_is_read_whole_however_it_is_cut(size: int) -> None:
    refusal = failure(409, "AlreadyExists", "x" * 50)
    said = Answer(409, lines=cut(json.dumps(refusal.body).encode(), size))
    async with KubeServer([said]).running() as server, closing(api_at(server.url)) as api:
        with pytest.raises(ApiError) as refused:
            await get(api)
    assert (refused.value.kubernetes_reason, refused.value.message) == ("AlreadyExists", "x" * 50)


DEEP = b"[" * 1_000_000
ODD = [
    DEEP,
    b'{"type": "ADDED", "object": ' + DEEP,
    b'{"type": "ERROR", "object": [1]}',
    b'{"type": "ERROR", "object": {"code": 1e999}}',
    b'{"type": "ERROR", "object": {"code": ' + b"9" * 5000 + b"}}",
    b'"x"',
    b"7",
    b"\xff",
]


@pytest.mark.parametrize("said", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize("status", [200, 404])
async def test_what_is_no_object_is_an_error_of_the_cluster(said: bytes, status: int) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, body=said + b"\n")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with served(app) as url, closing(api_at(url)) as api:
        with pytest.raises(ClusterUnavailable):
            await watched(api)
        if not said.startswith(b'{"type"') or status != 200 or said.endswith(DEEP):
            with pytest.raises(ClusterUnavailable):
                await api.request("GET", "/x", timeout_seconds=0.3)
