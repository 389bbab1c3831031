"""How long a new instance takes to its first answer, compared with an empty function."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncGenerator

from bench.instance import Start, first_answer
from bench.laboratory import USER, Laboratory
from bench.report import Ratio, Samples
from tests.support import laptop
from tests.support.client import Client, Json
from tests.support.firestore_emulator import EmulatorAbsentError, firestore_emulator

_ROUNDS = 12
_HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclasses.dataclass(frozen=True, slots=True)
class _Candidate:
    """A function to start, and the bound of its start time in multiples of an empty function's."""

    name: str
    source: str
    target: str
    settings: dict[str, str]
    request: bytes
    bound: float | None = None


async def start_times(lab: Laboratory) -> list[Ratio]:
    """Starts all functions in turns; the first round only warms the machine's caches.

    Raises:
        RuntimeError: A function did not answer 200.
    """
    async with contextlib.AsyncExitStack() as stack:
        source = "functions/exec_command/main.py"
        empty = _Candidate("empty function", "bench/functions/empty/main.py", "empty", {}, _HEALTH)
        candidates = [
            empty,
            _Candidate("health", "functions/health/main.py", "health", lab.settings, _HEALTH, 1.3),
            _Candidate(
                "first exec, SQLite", source, "exec_command", lab.settings, _exec_of_true(lab.session), 2.5
            ),
        ]
        try:
            settings, session = await stack.enter_async_context(_with_firestore(lab))
            request = _exec_of_true(session)
            candidates.append(
                _Candidate("first exec, Firestore", source, "exec_command", settings, request, 3.2)
            )
        except EmulatorAbsentError as absent:
            print(f"first exec, Firestore: left out. {absent}")
        starts: dict[str, list[Start]] = {candidate.name: [] for candidate in candidates}
        for number in range(_ROUNDS + 1):
            for candidate in candidates:
                start = await asyncio.to_thread(
                    first_answer,
                    candidate.source,
                    candidate.target,
                    candidate.settings,
                    candidate.request,
                    lab.folder / "function.log",
                )
                if number > 0:
                    starts[candidate.name].append(start)
    yardstick = _times(starts[empty.name])
    return [
        Ratio(
            f"start to first answer: {candidate.name} / empty",
            _times(starts[candidate.name]).median / yardstick.median,
            "<=",
            candidate.bound,
            detail=f"{_times(starts[candidate.name])} / {yardstick}; RSS "
            f"{_memory(starts[candidate.name]):.0f} / {_memory(starts[empty.name]):.0f} MiB",
        )
        for candidate in candidates[1:]
    ]


@contextlib.asynccontextmanager
async def _with_firestore(lab: Laboratory) -> AsyncGenerator[tuple[dict[str, str], Json]]:
    """Creates a session in the emulator through its own gateway; yields its settings and the session.

    Raises:
        EmulatorAbsentError: There is no emulator on this machine.
    """
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(firestore_emulator())
        settings = {
            **lab.settings,
            "SESSION_STORE": "firestore",
            "FIRESTORE_EMULATOR_HOST": host,
            "GOOGLE_CLOUD_PROJECT": "gamgui-bench",
        }
        _, url = stack.enter_context(laptop.gateway(lab.folder / "firestore-gateway.log", **settings))
        client = Client(lab.client.http, url, USER)
        session = await client.create()
        yield settings, session
        await client.delete(session)


def _exec_of_true(session: Json) -> bytes:
    body = json.dumps({"command": ["true"]}).encode()
    head = (
        f"POST /v1/sessions/{session['id']}/exec HTTP/1.1\r\nHost: localhost\r\nX-Dev-User: {USER}\r\n"
        f"Accept: application/json\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body


def _times(starts: list[Start]) -> Samples:
    return Samples([start.seconds * 1000 for start in starts], "ms")


def _memory(starts: list[Start]) -> float:
    return Samples([start.resident_mib for start in starts], "MiB").median
