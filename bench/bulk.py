"""How fast large output and input go through the function, and how much memory they need."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

from bench import memory, plain_client
from bench.laboratory import USER, Laboratory
from bench.report import Ratio, Samples

_MIB = 1024 * 1024
_OUT_MIB = 1024
_IN_MIB = 256
_ROUNDS = 3
_PRINT = ["sh", "-c", f"dd if=/dev/zero bs=1M count={_OUT_MIB} 2>/dev/null | tr '\\0' x"]
_COUNT = ["wc", "-c"]


async def bulk_rate(lab: Laboratory) -> list[Ratio]:
    """Streams in both directions and in turns: through the function, by a bare WebSocket, by kubectl.

    Raises:
        RuntimeError: A stream did not carry all bytes, or failed.
    """
    data = lab.folder / "input"
    with data.open("wb") as file:
        for _ in range(_IN_MIB):
            file.write(b"x" * _MIB)
    out = {"function": _print_through_function, "bare WebSocket": _print_bare, "kubectl exec": _print_kubectl}
    into = {
        "function": _count_through_function,
        "bare WebSocket": _count_bare,
        "kubectl exec": _count_kubectl,
    }
    return [
        *await _direction(lab, data, f"{_OUT_MIB} MiB of output, NDJSON", _OUT_MIB, out),
        *await _direction(lab, data, f"{_IN_MIB} MiB of input, octet-stream", _IN_MIB, into),
    ]


_Way = Callable[[Laboratory, Path], Awaitable[float]]


async def _direction(
    lab: Laboratory, data: Path, what: str, size_mib: int, ways: Mapping[str, _Way]
) -> list[Ratio]:
    """The rows of one direction; each way returns the seconds that it took."""
    if not lab.kubectl.installed:
        ways = {name: way for name, way in ways.items() if name != "kubectl exec"}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    before = memory.resident_mib(lab.gateway_pid)
    memory.reset_peak(lab.gateway_pid)
    for _ in range(_ROUNDS):
        for name, way in ways.items():
            rates[name].append(size_mib / await way(lab, data))
    growth = memory.peak_mib(lab.gateway_pid) - before
    ours, *others = ((name, Samples(values, "MiB/s")) for name, values in rates.items())
    bounds = {"kubectl exec": 1.0}
    rows = [
        Ratio(
            f"{what}: rate of function / {name}",
            ours[1].median / theirs.median,
            ">=",
            bounds.get(name),
            detail=f"{ours[1]} / {theirs}",
        )
        for name, theirs in others
    ]
    detail = f"{before:.1f} MiB resident before; peak of {_ROUNDS} streams"
    return [*rows, Ratio(f"{what}: the gateway's memory grows by", growth, "<=", 30, "MiB", detail)]


async def _print_through_function(lab: Laboratory, _: Path) -> float:
    headers = {"X-Dev-User": USER, "Content-Type": "application/json", "Accept": "application/x-ndjson"}
    body = json.dumps({"command": _PRINT}).encode()
    received, tail, elapsed = await plain_client.post(_url(lab), headers, body)
    if b'"result":"exited","exit_code":0' not in tail or received < _OUT_MIB * _MIB:
        raise RuntimeError(f"{received} bytes of NDJSON, and at the end {tail!r}")
    return elapsed


async def _print_bare(lab: Laboratory, _: Path) -> float:
    received, elapsed = await lab.bare.run(_PRINT)
    if received != _OUT_MIB * _MIB:
        raise RuntimeError(f"the bare WebSocket carried {received} bytes")
    return elapsed


async def _print_kubectl(lab: Laboratory, _: Path) -> float:
    return await lab.kubectl.run(_PRINT)


async def _count_through_function(lab: Laboratory, data: Path) -> float:
    headers = {"X-Dev-User": USER, "Content-Type": "application/octet-stream"}
    query = "&".join(f"command={word}" for word in _COUNT)
    _, tail, elapsed = await plain_client.post(f"{_url(lab)}?{query}", headers, data)
    if f'"stdout":"{_IN_MIB * _MIB}\\n"'.encode() not in tail:
        raise RuntimeError(f"the function's command said {tail!r}")
    return elapsed


async def _count_bare(lab: Laboratory, data: Path) -> float:
    return (await lab.bare.run(_COUNT, _pieces(data)))[1]


async def _count_kubectl(lab: Laboratory, data: Path) -> float:
    return await lab.kubectl.run(_COUNT, data)


async def _pieces(data: Path) -> AsyncIterator[bytes]:
    with data.open("rb") as file:
        while piece := file.read(_MIB):
            yield piece


def _url(lab: Laboratory) -> str:
    return f"{lab.client.url}/v1/sessions/{lab.session['id']}/exec"
