"""``make bench``: measures on the local cluster and prints a table of ratios.

The exit code says whether everything worked, not whether every bound was kept: a build should not fail
because the machine was busy with other things.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from bench.bulk import bulk_rate
from bench.cleanup import cleanup_cost
from bench.creates import concurrent_creates
from bench.files import file_rate
from bench.floods import flood_memory
from bench.jobs import job_latency
from bench.laboratory import laboratory
from bench.latency import exec_latency
from bench.report import Ratio, table
from bench.start import start_times
from bench.stream import stream_rate

_BENCHMARKS = {
    "latency": exec_latency,
    "start": start_times,
    "jobs": job_latency,
    "creates": concurrent_creates,
    "stream": stream_rate,
    "bulk": bulk_rate,
    "files": file_rate,
    "floods": flood_memory,
    "cleanup": cleanup_cost,
}


async def main(arguments: list[str]) -> int:
    """Runs the benchmarks.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=_BENCHMARKS, help="run this one alone")
    only = parser.parse_args(arguments).only
    rows: list[Ratio] = []
    with tempfile.TemporaryDirectory(prefix="gamgui-bench-") as folder:
        async with laboratory(Path(folder)) as lab:
            for name in [only] if only else _BENCHMARKS:
                started = time.monotonic()
                rows += await _BENCHMARKS[name](lab)
                print(f"{name}: measured in {time.monotonic() - started:.0f} s", flush=True)
    print(f"\n{table(rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
