"""Lists without what cannot be read: bounded, whatever is in the store."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InternalError
from shared.reasons import Reason
from shared.store import documents
from shared.store.readable import readable


def read(row: tuple[int, bool]) -> int:
    number, good = row
    if not good:
        raise documents.invalid("session")
    return number


def name(row: tuple[int, bool]) -> str:
    return str(row[0])


@given(st.lists(st.booleans(), max_size=500), st.integers(1, 20))
async def test_the_first_that_can_be_read(rows: list[bool], limit: int) -> None:
    async def page(size: int, last: tuple[int, bool] | None) -> Sequence[tuple[int, bool]]:
        begin = 0 if last is None else last[0] + 1
        return list(enumerate(rows))[begin : begin + size]

    unreadable: set[str] = set()
    found = await readable(page, read, name, limit=limit, unreadable=unreadable)
    good = [number for number, one in enumerate(rows) if one]
    assert found == good[:limit]
    assert all(not rows[int(one)] for one in unreadable)
    if len(found) < limit:
        assert len(unreadable) + len(found) == len(rows)


async def test_nothing_but_what_cannot_be_read_comes_to_an_end() -> None:
    asked = 0

    async def page(size: int, last: tuple[int, bool] | None) -> Sequence[tuple[int, bool]]:
        nonlocal asked
        asked += 1
        begin = 0 if last is None else last[0] + 1
        return [(number, False) for number in range(begin, begin + size)]

    with pytest.raises(InternalError) as caught:
        await readable(page, read, name, limit=1)
    assert caught.value.reason == Reason.DOCUMENT_INVALID
    assert asked == 100
