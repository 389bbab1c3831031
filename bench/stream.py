"""How fast long output comes as NDJSON, compared with other clients, and how much memory it needs."""

from __future__ import annotations

import json
import time
from contextlib import AbstractAsyncContextManager

import aiohttp

from bench import memory
from bench.laboratory import USER, Laboratory
from bench.report import Ratio, Samples

_MIB = 1024 * 1024
_SIZE_MIB = 256
_ROUNDS = 6
_BINARY_SEED_MIB = 4
_LONGEST_END = 4096
_TEXT = "dd if=/dev/zero bs=1M count={} 2>/dev/null | tr '\\0' x"
_SEED = f"head -c {_BINARY_SEED_MIB * _MIB} /dev/urandom > random"
_BINARY = "i=0; while [ $i -lt {} ]; do cat /workspace/random; i=$((i + 1)); done"


async def stream_rate(lab: Laboratory) -> list[Ratio]:
    """Streams text in turns with the bare WebSocket, then bytes that are no valid text.

    Raises:
        RuntimeError: A stream did not carry all bytes, or failed.
    """
    await lab.client.execute(lab.session, _SEED)
    before = memory.resident_mib(lab.gateway_pid)
    memory.reset_peak(lab.gateway_pid)
    await _check_content(lab)
    text = await _in_turns(lab, _TEXT.format(_SIZE_MIB), _ROUNDS)
    growth = memory.peak_mib(lab.gateway_pid) - before
    official = Samples([await _official_rate(lab, _TEXT.format(_SIZE_MIB)) for _ in range(_ROUNDS)], "MiB/s")
    binary = await _in_turns(lab, _BINARY.format(_SIZE_MIB // _BINARY_SEED_MIB), _ROUNDS // 2)
    after = memory.resident_mib(lab.gateway_pid)
    what = f"{_SIZE_MIB} MiB of output"
    return [
        Ratio(
            f"{what}, text: rate of NDJSON / bare WebSocket",
            text[0].median / text[1].median,
            ">=",
            0.7,
            detail=f"{text[0]} / {text[1]}",
        ),
        Ratio(
            f"{what}, text: rate of the official Python client / bare WebSocket",
            official.median / text[1].median,
            detail=f"{official} / {text[1]}",
        ),
        Ratio(
            f"{what}, text: the gateway's memory grows by",
            growth,
            "<=",
            30,
            "MiB",
            detail=f"{before:.1f} MiB resident before; peak of {_ROUNDS} streams",
        ),
        Ratio(
            f"{what}, random bytes (base64): rate of NDJSON / bare WebSocket",
            binary[0].median / binary[1].median,
            detail=f"{binary[0]} / {binary[1]}; {after:.1f} MiB resident after all",
        ),
    ]


async def _in_turns(lab: Laboratory, script: str, rounds: int) -> tuple[Samples, Samples]:
    """Rates through the function and by the bare WebSocket, in MiB of output per second."""
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(rounds):
        received, seconds = await lab.bare.run(["sh", "-c", script])
        if received != _SIZE_MIB * _MIB:
            raise RuntimeError(f"the bare WebSocket carried {received} bytes")
        bare.append(_SIZE_MIB / seconds)
        ours.append(_SIZE_MIB / await _through_function(lab, script, _SIZE_MIB))
    return Samples(ours, "MiB/s"), Samples(bare, "MiB/s")


async def _official_rate(lab: Laboratory, script: str) -> float:
    """Rate by the official client, in MiB of output per second."""
    received, seconds = await lab.official.run(["sh", "-c", script])
    if received != _SIZE_MIB * _MIB:
        raise RuntimeError(f"the official client carried {received} bytes")
    return _SIZE_MIB / seconds


async def _through_function(lab: Laboratory, script: str, size_mib: int) -> float:
    """Streams a command's output, throws it away, and checks what the last lines say.

    Returns:
        Seconds from sending the request to the end of the answer.
    """
    started = time.perf_counter()
    received, tail = 0, b""
    async with _request(lab, script) as response:
        async for chunk in response.content.iter_any():
            received += len(chunk)
            tail = chunk if len(chunk) >= _LONGEST_END else tail + chunk
    elapsed = time.perf_counter() - started
    end = json.loads(tail.splitlines()[-1])
    if (end["type"], end.get("exit_code")) != ("exit", 0) or received < size_mib * _MIB:
        raise RuntimeError(f"{received} bytes of NDJSON, and at the end {end}")
    return elapsed


async def _check_content(lab: Laboratory) -> None:
    """Reads every line of a shorter stream and checks that no byte is missing or misplaced."""
    offset = 0
    async with _request(lab, _TEXT.format(8)) as response:
        for line in (await response.read()).splitlines():
            event = json.loads(line)
            if event["type"] == "stdout":
                if event["offset"] != offset or event["text"].strip("x"):
                    raise RuntimeError(f"the piece at {event['offset']} is not what was written")
                offset += len(event["text"])
    if offset != 8 * _MIB:
        raise RuntimeError(f"{offset} bytes came of {8 * _MIB}")


def _request(lab: Laboratory, script: str) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
    return lab.client.http.post(
        f"{lab.client.url}/v1/sessions/{lab.session['id']}/exec",
        json={"command": ["sh", "-c", script]},
        headers={"X-Dev-User": USER, "Accept": "application/x-ndjson"},
    )
