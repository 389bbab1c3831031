"""What floods cost in memory: commands that never stop talking, many at once, answered in one object each."""

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
    """Lets commands flood both streams until their time is over.

    Raises:
        RuntimeError: One of them ended otherwise.
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
    # Half as much again as answers may keep, for what is being received and sent.
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
