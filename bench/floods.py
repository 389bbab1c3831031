"""How much memory floods need: many commands print without end, and each is answered with one JSON object."""

from __future__ import annotations

import asyncio

from bench import memory
from bench.laboratory import Laboratory
from bench.report import Ratio
from shared.web.api.exec_answer import MAX_ALL_KEPT_BYTES

_AT_ONCE = 12
_SECONDS = 5
_MIB = 1024 * 1024
_FLOOD = ["sh", "-c", "yes flood >&2 & exec yes flood"]


async def flood_memory(lab: Laboratory) -> list[Ratio]:
    """Lets commands flood both streams until their timeout.

    Raises:
        RuntimeError: A command ended in another way.
    """
    before = memory.resident_mib(lab.gateway_pid)
    memory.reset_peak(lab.gateway_pid)
    results = await asyncio.gather(
        *(lab.client.execute(lab.session, _FLOOD, timeout_seconds=_SECONDS) for _ in range(_AT_ONCE))
    )
    growth = memory.peak_mib(lab.gateway_pid) - before
    said = sum(result["stdout_bytes"] + result["stderr_bytes"] for result in results)
    ends = {result["result"] for result in results}
    if ends != {"timed_out"}:
        raise RuntimeError(f"floods ended as {ends}")
    detail = f"{before:.1f} MiB resident before; {said / _MIB:.0f} MiB came"
    # Answers may keep MAX_ALL_KEPT_BYTES; half as much again is for bytes that are being received and sent.
    bound = 1.5 * MAX_ALL_KEPT_BYTES / _MIB
    return [
        Ratio(
            f"{_AT_ONCE} floods at once, JSON: the gateway's memory grows by",
            growth,
            "<=",
            bound,
            "MiB",
            detail,
        )
    ]
