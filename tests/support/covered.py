"""What the tests ran of the code: all of it in one line, and the files of which they ran least.

``COVERAGE=1 make test`` measures and prints it, as ``.ci/run`` does. Tracing costs Python 3.11 a third of the
CPU time and up to as much again: too much for every run.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from coverage import Coverage

_LEAST = 10


def lines(report: dict[str, Any]) -> list[str]:
    """The lines to print.

    Args:
        report: What ``coverage json`` writes.
    """
    found = sorted(
        (one["summary"]["percent_covered"], name)
        for name, one in report["files"].items()
        if one["summary"]["num_statements"]
    )
    total = report["totals"]["percent_covered"]
    return [
        f"Covered: {total:.1f} % of lines and branches in {len(found)} files. The least covered:",
        *(f"  {percent:5.1f} %  {name}" for percent, name in found[:_LEAST]),
    ]


def main() -> int:
    """Prints the lines.

    Returns:
        2 when less is covered than ``fail_under`` in pyproject.toml says; otherwise 0.
    """
    coverage = Coverage()
    coverage.load()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "report.json")
        total = coverage.json_report(outfile=os.fspath(file))
        report = json.loads(file.read_text())
    sys.stdout.write("\n".join(lines(report)) + "\n")
    floor = float(coverage.get_option("report:fail_under"))  # type: ignore[arg-type] # an option may be of any type
    if total >= floor:
        return 0
    sys.stderr.write(f"At least {floor} % must be covered.\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
