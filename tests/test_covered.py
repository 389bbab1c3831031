"""What is printed of coverage: one line for all, and the ten files that have least."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support.covered import lines

_files = st.dictionaries(st.text("abc/", min_size=1), st.tuples(st.floats(0, 100), st.integers(0, 9)))


@given(_files)
def test_the_ten_least_covered_files_are_named(
    files: dict[str, tuple[float, int]],
) -> None:
    report: dict[str, Any] = {
        "totals": {"percent_covered": 50.0},
        "files": {
            name: {"summary": {"percent_covered": percent, "num_statements": statements}}
            for name, (percent, statements) in files.items()
        },
    }
    head, *rest = lines(report)
    counted = {name: percent for name, (percent, statements) in files.items() if statements}
    assert head.startswith(f"Covered: 50.0 % of lines and branches in {len(counted)} files")
    named = [line.split()[-1] for line in rest]
    assert len(named) == min(10, len(counted))
    left = [percent for name, percent in counted.items() if name not in named]
    assert max((counted[name] for name in named), default=0) <= min(left, default=100)
