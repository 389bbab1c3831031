"""Files of any size: what they cost in memory, and where the bounds are."""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from bench import memory
from tests.contract.conftest import Target, gateway_settings
from tests.support import laptop
from tests.support.client import Client
from tests.support.files_client import Files
from tests.support.proofs import times
from tests.support.tars import tar_of

MIB = 1024 * 1024
LARGE_MIB = 300
MANY = times(5000, 1000)
FLAT_MIB = 30


@dataclasses.dataclass(frozen=True)
class Watched:
    """Files behind a gateway of their own, and its process."""

    files: Files
    pid: int


@pytest.fixture
async def watched(target: Target, http: aiohttp.ClientSession, tmp_path: Path) -> AsyncIterator[Watched]:
    settings = gateway_settings(target, tmp_path) | {"MAX_FILE_BYTES": f"{LARGE_MIB}Mi"}
    with laptop.gateway(tmp_path / "gateway.log", **settings) as (process, url):
        client = Client(http, url, "large@example.com")
        session = await client.create()
        yield Watched(Files(client, session), process.pid)
        await client.delete(session)


class Source:
    """Bytes that are made while they are sent, and their hash."""

    def __init__(self, mib: int) -> None:
        self._mib = mib
        self._block = secrets.token_bytes(MIB)
        self.hash = hashlib.sha256()

    async def chunks(self) -> AsyncIterator[bytes]:
        for number in range(self._mib):
            block = number.to_bytes(4, "big") + self._block[4:]
            self.hash.update(block)
            yield block


@pytest.mark.timeout(300)
async def test_300_mib_go_both_ways_and_memory_stays_flat(watched: Watched) -> None:
    files = watched.files
    await files.put("warm", b"x" * MIB)
    await files.get("warm")
    before = memory.resident_mib(watched.pid)
    memory.reset_peak(watched.pid)
    source = Source(LARGE_MIB)
    stored = await files.put("large", source.chunks())
    assert (stored.status, stored.json["size"]) == (201, LARGE_MIB * MIB)
    assert stored.json["sha256"] == source.hash.hexdigest()
    received = hashlib.sha256()
    async with files.open("large") as response:
        assert response.headers["Content-Length"] == str(LARGE_MIB * MIB)
        async for data in response.content.iter_any():
            received.update(data)
    assert received.hexdigest() == source.hash.hexdigest()
    assert memory.peak_mib(watched.pid) - before < FLAT_MIB


@pytest.mark.timeout(300)
async def test_a_tar_of_large_and_of_many_files_leaves_memory_flat(watched: Watched) -> None:
    files = watched.files
    await files.unpack("warm/", tar_of({"a": b"x" * MIB}))
    before = memory.resident_mib(watched.pid)
    memory.reset_peak(watched.pid)
    source = Source(LARGE_MIB - 50)
    many = {f"{number % 7}/small file {number}": b"x" * 500 for number in range(MANY)}

    async def packed() -> AsyncIterator[bytes]:
        info = tarfile.TarInfo("large")
        info.size = (LARGE_MIB - 50) * MIB
        yield info.tobuf()
        async for block in source.chunks():
            yield block
        yield tar_of(many)

    unpacked = await files.unpack("folder/", packed())
    assert (unpacked.status, unpacked.json["files"]) == (201, MANY + 1)
    assert (await files.sh("sha256sum <folder/large")).split()[0] == source.hash.hexdigest()
    assert int(await files.sh("find folder -name 'small file*' -size -2 | wc -l")) == MANY
    assert memory.peak_mib(watched.pid) - before < FLAT_MIB


async def test_a_tar_over_the_bound_is_refused(watched: Watched) -> None:
    info = tarfile.TarInfo("large")
    info.size = LARGE_MIB * MIB
    answer = await watched.files.unpack("", tar_of({"a": b"x"}, tarfile.GNU_FORMAT)[: 2 * 512] + info.tobuf())
    assert (answer.status, answer.json["reason"]) == (413, "FILE_TOO_LARGE")
    assert await watched.files.sh("ls -A") == ""


async def test_a_file_over_the_bound_is_refused_before_and_while_it_comes(watched: Watched) -> None:
    files = watched.files
    await files.put("file", b"old")
    sent = 0

    async def too_much() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65536
            yield b"x" * 65536

    announced = await files.put("file", too_much(), Content_Length=str(LARGE_MIB * MIB + 1))
    assert (announced.status, announced.json["reason"]) == (413, "FILE_TOO_LARGE")
    assert sent < 16 * MIB
    total = LARGE_MIB * MIB + 1
    piece = await files.put("file", b"x", Content_Range=f"bytes 0-0/{total}", Upload_Id="a")
    assert (piece.status, piece.json["max_bytes"]) == (413, LARGE_MIB * MIB)
    while_it_comes = await files.put("file", Source(LARGE_MIB + 1).chunks())
    assert (while_it_comes.status, while_it_comes.json["reason"]) == (413, "FILE_TOO_LARGE")
    assert (await files.get("file")).body == b"old"
    assert await files.sh("ls -A") == "file\n"
