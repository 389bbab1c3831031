"""How long an exec of ``true`` takes: through the function, by a bare WebSocket, by official clients."""

from __future__ import annotations

import time

from bench.laboratory import Laboratory
from bench.report import Ratio, Samples

_WARM_UP = 5
_ROUNDS = 500
_KUBECTL_EVERY = 25
_COMMAND = ["true"]


async def exec_latency(lab: Laboratory) -> list[Ratio]:
    """Measures all ways in turns.

    Raises:
        RuntimeError: A command did not exit with 0.
    """
    function: list[float] = []
    bare: list[float] = []
    official: list[float] = []
    kubectl: list[float] = []
    for number in range(-_WARM_UP, _ROUNDS):
        times = (
            await _through_function(lab),
            (await lab.bare.run(_COMMAND))[1],
            (await lab.official.run(_COMMAND))[1],
        )
        if number < 0:
            continue
        function.append(times[0] * 1000)
        bare.append(times[1] * 1000)
        official.append(times[2] * 1000)
        if lab.kubectl.installed and number % _KUBECTL_EVERY == 0:
            kubectl.append(await lab.kubectl.run(_COMMAND) * 1000)
    ours, yardstick, peer = Samples(function, "ms"), Samples(bare, "ms"), Samples(official, "ms")
    rows = [
        Ratio(
            "exec of true: function / bare WebSocket, p50",
            ours.median / yardstick.median,
            "<=",
            2.0,
            detail=f"{ours} / {yardstick}",
        ),
        Ratio(
            "exec of true: official Python client / bare WebSocket, p50",
            peer.median / yardstick.median,
            detail=f"{peer} / {yardstick}; without supervisor, limit or half-close",
        ),
    ]
    if kubectl:
        theirs = Samples(kubectl, "ms")
        rows.append(
            Ratio(
                "exec of true: kubectl / bare WebSocket, p50",
                theirs.median / yardstick.median,
                detail=f"{theirs} / {yardstick}",
            )
        )
    return rows


async def _through_function(lab: Laboratory) -> float:
    started = time.perf_counter()
    result = await lab.client.execute(lab.session, _COMMAND)
    elapsed = time.perf_counter() - started
    if result["exit_code"] != 0:
        raise RuntimeError(f"the function's exec failed: {result}")
    return elapsed
