"""How fast files go into a session and out of it, against ``kubectl cp``, and how much memory they need."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

from bench import memory
from bench.laboratory import Laboratory
from bench.report import Ratio, Samples
from tests.support.files_client import Files

_MIB = 1024 * 1024
_LARGE_MIB = 256
_ROUNDS = 3
_SMALL_FILES = 1000
_SMALL_BYTES = 4096
_AT_ONCE = 8
_READ_BYTES = 256 * 1024

_Transfer = Callable[[], Awaitable[None]]


async def file_rate(lab: Laboratory) -> list[Ratio]:
    """Measures in turns: a large file in both directions, then a folder of small files in both directions.

    Our transfers are verified on both sides. kubectl verifies nothing, so it is measured once more with the
    command that a careful user runs after it: ``sha256sum`` on both sides.

    Raises:
        RuntimeError: A transfer failed, or the received bytes are not those that were sent.
    """
    if shutil.which("kubectl") is None:
        print("files: left out. kubectl is not installed")
        return []
    files, copy = Files(lab.client, lab.session), _KubectlCopy(lab)
    large = lab.folder / "large"
    digest = await asyncio.to_thread(_make_large, large)
    folder = lab.folder / "small"
    small = await asyncio.to_thread(_make_small, folder)
    await _upload(files, large, digest)
    before = memory.resident_mib(lab.gateway_pid)
    memory.reset_peak(lab.gateway_pid)
    back = lab.folder / "back"

    async def up_and_verified() -> None:
        await copy.up(large, "theirs")
        await copy.verify("theirs", large, digest)

    async def down_and_verified() -> None:
        await copy.down("theirs", back)
        await copy.verify("theirs", back, digest)

    up, copied_up, verified_up = await _in_turns(
        lambda: _upload(files, large, digest), lambda: copy.up(large, "theirs"), up_and_verified
    )
    down, copied_down, verified_down = await _in_turns(
        lambda: _download(files, digest), lambda: copy.down("theirs", back), down_and_verified
    )
    growth = memory.peak_mib(lab.gateway_pid) - before
    # Each goes into a new folder: when a rename replaces a file, ext4 writes the new file to the disk at
    # once.
    ours, packed, theirs = (
        map(f"{name}-{{}}".format, itertools.count()) for name in ("our", "packed", "their")
    )
    many_up, unpacked, many_copied_up = await _in_turns(
        lambda: _upload_all(files, small, next(ours)),
        lambda: _upload_folder(files, folder, next(packed)),
        lambda: copy.up(folder, next(theirs)),
    )
    many_down, many_copied_down = await _in_turns(
        lambda: _download_folder(files), lambda: copy.down("their-0", lab.folder / "folder-back")
    )
    what, many = f"{_LARGE_MIB} MiB", f"{_SMALL_FILES} files of {_SMALL_BYTES // 1024} KiB"
    return [
        _ratio(f"{what} up: function / kubectl cp and sha256sum", up, verified_up, 1.0),
        _ratio(f"{what} up: function / kubectl cp alone", up, copied_up),
        _ratio(f"{what} down: function / kubectl cp and sha256sum", down, verified_down, 1.0),
        _ratio(f"{what} down: function / kubectl cp alone", down, copied_down),
        Ratio(
            f"{what} both ways: the gateway's memory grows by",
            growth,
            "<=",
            30,
            "MiB",
            detail=f"{before:.1f} MiB resident before; peak of {2 * _ROUNDS} transfers",
        ),
        _ratio(f"{many} up: a PUT each, {_AT_ONCE} at once / kubectl cp", many_up, many_copied_up),
        _ratio(f"{many} up: a tar / kubectl cp", unpacked, many_copied_up, 1.0),
        _ratio(f"{many} down: a tar / kubectl cp", many_down, many_copied_down, 1.0),
    ]


class _KubectlCopy:
    """``kubectl cp`` between this machine and the session's workspace."""

    def __init__(self, lab: Laboratory) -> None:
        self._pod = ("-n", lab.session["namespace"], lab.session["pod_name"])
        self._workspace = f"{lab.session['namespace']}/{lab.session['pod_name']}:/workspace/"
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(lab.folder),
            "KUBECONFIG": lab.settings["KUBECONFIG"],
        }

    async def up(self, source: Path, name: str) -> None:
        await self._run("kubectl", "cp", str(source), self._workspace + name)

    async def down(self, name: str, target: Path) -> None:
        await self._run("kubectl", "cp", self._workspace + name, str(target))

    async def verify(self, name: str, local: Path, digest: str) -> None:
        """Hashes both copies of a file and compares the hashes."""
        there = await self._run("kubectl", "exec", *self._pod, "--", "sha256sum", f"/workspace/{name}")
        here = await self._run("sha256sum", str(local))
        _require(digest in there and digest in here, "what came is not what went")

    async def _run(self, *command: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *command, env=self._env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        output, _ = await process.communicate()
        _require(process.returncode == 0, f"{command} failed")
        return output.decode()


async def _upload(files: Files, source: Path, digest: str) -> None:
    stored = await files.put("ours", _read(source), Content_Length=str(_LARGE_MIB * _MIB))
    _require(stored.status in (200, 201) and stored.json["sha256"] == digest, f"upload: {stored}")


async def _download(files: Files, digest: str) -> None:
    received = hashlib.sha256()
    async with files.open("ours") as response:
        async for data in response.content.iter_any():
            received.update(data)
    _require(received.hexdigest() == digest, "what came is not what went")


async def _upload_all(files: Files, small: Mapping[str, bytes], target: str) -> None:
    waiting = iter(small.items())

    async def take_turns() -> None:
        for name, data in waiting:
            stored = await files.put(f"{target}/{name}", data)
            _require(stored.status in (200, 201), f"upload: {stored}")

    await asyncio.gather(*(take_turns() for _ in range(_AT_ONCE)))


async def _upload_folder(files: Files, folder: Path, target: str) -> None:
    tar = await asyncio.create_subprocess_exec(
        "tar", "-C", str(folder), "-cf", "-", ".", stdout=asyncio.subprocess.PIPE
    )
    assert tar.stdout is not None
    unpacked = await files.unpack(f"{target}/", tar.stdout)
    _require(unpacked.status in (200, 201) and unpacked.json["files"] == _SMALL_FILES, f"upload: {unpacked}")
    _require(await tar.wait() == 0, "tar failed")


async def _download_folder(files: Files) -> None:
    packed = await files.get("our-0", Accept="application/x-tar")
    _require(len(packed.body) > _SMALL_FILES * _SMALL_BYTES, f"a tar of {len(packed.body)} bytes")


async def _in_turns(*transfers: _Transfer) -> list[Samples]:
    """Seconds that each transfer took, round by round."""
    times: list[list[float]] = [[] for _ in transfers]
    for _ in range(_ROUNDS):
        for transfer, taken in zip(transfers, times, strict=True):
            started = time.perf_counter()
            await transfer()
            taken.append(time.perf_counter() - started)
    return [Samples(taken, "s") for taken in times]


def _ratio(name: str, ours: Samples, theirs: Samples, bound: float | None = None) -> Ratio:
    return Ratio(name, ours.median / theirs.median, "<=", bound, detail=f"{ours} / {theirs}")


def _make_large(target: Path) -> str:
    hashed = hashlib.sha256()
    with target.open("wb") as file:
        for _ in range(_LARGE_MIB):
            block = secrets.token_bytes(_MIB)
            hashed.update(block)
            file.write(block)
    return hashed.hexdigest()


def _make_small(folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    small = {f"file-{number}": secrets.token_bytes(_SMALL_BYTES) for number in range(_SMALL_FILES)}
    for name, data in small.items():
        (folder / name).write_bytes(data)
    return small


async def _read(source: Path) -> AsyncIterator[bytes]:
    with source.open("rb") as file:
        while block := file.read(_READ_BYTES):
            yield block


def _require(good: bool, otherwise: str) -> None:
    if not good:
        raise RuntimeError(otherwise)
