"""A request whose body is the command's input: whole or not at all, and never held in memory."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import os
import socket
import struct
import urllib.parse
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from bench import memory
from tests.contract.conftest import Target, gateway_settings
from tests.contract.test_exec import marked, wait_until_ended, wait_until_running
from tests.support import laptop
from tests.support.client import Client, Json
from tests.support.patience import PATIENCE

MIB = 1024 * 1024
PIECE = os.urandom(MIB)
OCTETS = {"Content-Type": "application/octet-stream"}


def path_of(session: Json, *parameters: tuple[str, str]) -> str:
    return f"/v1/sessions/{session['id']}/exec?{urllib.parse.urlencode(parameters)}"


async def pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield PIECE


async def endless() -> AsyncIterator[bytes]:
    """Begins, and never ends."""
    yield PIECE
    await asyncio.Event().wait()


async def run(
    client: Client, session: Json, command: str, data: bytes | AsyncIterator[bytes], **options: str
) -> Json:
    """Runs a shell line with the data as its input; an iterator is sent chunked, without a length."""
    url = client.url + path_of(session, ("command", command), *options.items())
    body = io.BytesIO(data) if isinstance(data, bytes) else data
    async with client.http.post(url, data=body, headers={"X-Dev-User": client.user, **OCTETS}) as response:
        answer: Json = await response.json(content_type=None)
        assert response.status == 200, answer
        return answer


@contextlib.asynccontextmanager
async def upload(client: Client, path: str, length: int) -> AsyncGenerator[asyncio.StreamWriter]:
    """A connection on which a request was begun that promises so many bytes; cut off at the end."""
    host, _, port = client.url.removeprefix("http://").partition(":")
    sender = socket.create_connection((host, int(port)))
    # Its end is a reset, as a proxy's is: what this machine's kernel would still send does not come first.
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    _, writer = await asyncio.open_connection(sock=sender)
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nX-Dev-User: {client.user}\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n".encode()
    )
    try:
        yield writer
    finally:
        writer.transport.abort()


async def test_64_mib_go_in_whole(client: Client, session: Json) -> None:
    result = await run(client, session, "sha256sum", PIECE * 64)
    assert (result["result"], result["exit_code"]) == ("exited", 0)
    assert result["stdout"].split()[0] == hashlib.sha256(PIECE * 64).hexdigest()


async def test_input_of_unknown_length_goes_in_whole(client: Client, session: Json) -> None:
    result = await run(client, session, "sha256sum", pieces(5))
    assert result["stdout"].split()[0] == hashlib.sha256(PIECE * 5).hexdigest()


async def test_no_bytes_are_an_input_that_ends(client: Client, session: Json) -> None:
    result = await run(client, session, "wc -c", b"")
    assert (result["exit_code"], result["stdout"].strip()) == (0, "0")


async def test_words_variables_and_folder_come_in_the_query(client: Client, session: Json) -> None:
    words = [
        ("command", word)
        for word in (
            "sh",
            "-c",
            'cat; printf "|%s|%s|" "$1" "$A"; [ "$(pwd)" = /tmp ] && echo there',
            "sh",
            "a  b",
        )
    ]
    path = path_of(session, *words, ("env", "A=1=ä"), ("workdir", "/tmp"), ("timeout_seconds", "9.5"))
    headers = {"X-Dev-User": client.user, **OCTETS}
    async with client.http.post(client.url + path, data=b"in", headers=headers) as response:
        assert (await response.json())["stdout"] == "in|a  b|1=ä|there\n"


async def test_octets_that_are_no_text_go_in_exactly(client: Client, session: Json) -> None:
    data = bytes(range(256)) * 3
    result = await run(client, session, "cat", data)
    assert base64.b64decode(result["stdout_base64"]) == data


async def test_a_command_that_ends_before_its_input_is_answered_at_once(
    client: Client, session: Json
) -> None:
    async with asyncio.timeout(PATIENCE):
        result = await run(client, session, "head -c 1 | wc -c; echo end", endless())
    assert (result["result"], result["exit_code"], result["stdout"].split()) == ("exited", 0, ["1", "end"])
    assert (await run(client, session, "head -c 1 | wc -c", PIECE * 20))["stdout"].strip() == "1"


async def test_who_leaves_a_command_that_reads_nothing_is_missed(client: Client, session: Json) -> None:
    line, mark = marked("sleep MARK")
    async with upload(client, path_of(session, ("command", line)), 64 * MIB) as writer:
        sending = asyncio.create_task(send(writer, 64))
        await wait_until_running(client, session, mark)
        done, _ = await asyncio.wait((sending,), timeout=3)
        assert not done, "everything between here and the command is full"
    with pytest.raises(ConnectionError):
        await sending
    await wait_until_ended(client, session, mark)


async def send(writer: asyncio.StreamWriter, count: int) -> None:
    for _ in range(count):
        writer.write(PIECE)
        await writer.drain()


async def test_an_upload_that_breaks_off_is_no_input_that_ended(client: Client, session: Json) -> None:
    line, mark = marked("wc -c > /workspace/MARK.count; echo complete > /workspace/MARK; sleep MARK")
    async with upload(client, path_of(session, ("command", line)), 4 * MIB) as writer:
        await send(writer, 2)
        await wait_until_running(client, session, mark)
    await wait_until_ended(client, session, mark)
    found = await client.execute(session, f"cat /workspace/{mark} /workspace/{mark}.count")
    assert found["stdout"] == ""


async def test_a_command_that_reads_slowly_slows_the_upload_down(
    http: aiohttp.ClientSession, target: Target, tmp_path: Path
) -> None:
    sent = [0]

    async def counted() -> AsyncIterator[bytes]:
        async for piece in pieces(200):
            yield piece
            sent.append(sent[-1] + len(piece))

    with laptop.gateway(tmp_path / "gateway.log", **gateway_settings(target, tmp_path)) as (process, url):
        client = Client(http, url, "slow@example.com")
        session = await client.create()
        await run(client, session, "cat > /dev/null", pieces(20))
        before = memory.resident_mib(process.pid)
        memory.reset_peak(process.pid)
        line = "while [ ! -e /workspace/go ]; do sleep 0.1; done; wc -c"
        running = asyncio.create_task(run(client, session, line, counted()))
        done, _ = await asyncio.wait((running,), timeout=3)
        assert not done
        behind = sent[-1]
        await client.execute(session, "touch /workspace/go")
        result = await running
        grown = memory.peak_mib(process.pid) - before
        await client.delete(session)
    assert int(result["stdout"]) == sent[-1] == 200 * MIB
    assert behind < 64 * MIB  # each hop on the way to a pod has its kernel's buffers
    assert grown < 30


@pytest.mark.parametrize("parameters", [[], [("command", "cat"), ("stdin", "x")]])
async def test_what_is_refused_is_refused_before_the_body(
    client: Client, session: Json, parameters: list[tuple[str, str]]
) -> None:
    headers = {"X-Dev-User": client.user, **OCTETS}
    url = client.url + path_of(session, *parameters)
    async with asyncio.timeout(PATIENCE), client.http.post(url, data=endless(), headers=headers) as response:
        assert response.status == 400
        assert (await response.json())["reason"] in ("MISSING_FIELD", "UNKNOWN_FIELD")
