"""Every change of what others may change at the same time is read, decided, compared and set."""

from __future__ import annotations

import ast
import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import shared.core
from shared.core.changes import TRIES, changed
from shared.errors import GamguiError, NotFound, StoreUnavailable, VersionConflict


@dataclasses.dataclass(frozen=True)
class Stored:
    number: int
    version: int


@dataclasses.dataclass
class Cell:
    """A stored number that others may change between any read and write."""

    stored: Stored = Stored(0, 0)
    reads: int = 0
    others: Iterator[bool] = iter(())
    """Whether somebody else is faster at the next writes."""

    async def read(self) -> Stored:
        self.reads += 1
        await asyncio.sleep(0)
        return self.stored

    async def write(self, value: Stored) -> Stored:
        await asyncio.sleep(0)
        if next(self.others, False):
            self.stored = Stored(self.stored.number + 100, self.stored.version + 1)
        if value.version != self.stored.version:
            raise VersionConflict("changed meanwhile")
        self.stored = Stored(value.number, value.version + 1)
        return self.stored

    async def add(self, value: Stored) -> Stored:
        return await self.write(dataclasses.replace(value, number=value.number + 1))


@given(faster=st.lists(st.booleans(), max_size=12), tries=st.integers(1, 8), holds=st.booleans())
async def test_the_change_rests_on_the_value_it_replaces(faster: list[bool], tries: int, holds: bool) -> None:
    cell = Cell(others=iter(faster))
    first = cell.stored if holds else None
    rounds = [*faster, False].index(False) + 1
    work = changed(cell.read, cell.add, first=first, tries=tries, busy="the number is", number="n")
    if rounds > tries:
        with pytest.raises(VersionConflict, match="the number is being changed by others; try again"):
            await work
        assert cell.stored.number == 100 * tries  # nothing of ours
    else:
        done = await work
        assert done == cell.stored
        assert done.number == 100 * (rounds - 1) + 1
    assert cell.reads == min(rounds, tries) - holds


@given(st.integers(1, 12))
async def test_of_many_at_once_each_changes_once(many: int) -> None:
    cell = Cell()
    await asyncio.gather(*(changed(cell.read, cell.add, tries=many, busy="it is") for _ in range(many)))
    assert cell.stored == Stored(many, many)


@pytest.mark.parametrize("error", [NotFound("gone"), StoreUnavailable("away"), ValueError("bug")])
@pytest.mark.parametrize("where", ["read", "change"])
async def test_what_is_no_conflict_ends_the_attempts(error: Exception, where: str) -> None:
    calls: list[str] = []

    async def read() -> int:
        calls.append("read")
        if where == "read":
            raise error
        return 1

    async def change(value: int) -> int:
        calls.append("change")
        raise error

    with pytest.raises(type(error)):
        await changed(read, change, busy="it is")
    assert calls == (["read"] if where == "read" else ["read", "change"])


async def test_a_conflict_met_while_reading_is_not_tried_again() -> None:
    reads = 0

    async def read() -> int:
        nonlocal reads
        reads += 1
        raise VersionConflict("the reader tried often enough by itself")

    async def change(value: int) -> int:
        raise AssertionError

    with pytest.raises(VersionConflict, match="the reader"):
        await changed(read, change, busy="it is")
    assert reads == 1


async def test_nothing_needs_to_be_stored() -> None:
    cell = Cell()

    async def look(value: Stored) -> int:
        return value.number

    assert await changed(cell.read, look, busy="it is") == 0
    assert cell.stored.version == 0


def test_the_error_says_what_is_busy() -> None:
    async def late(value: None) -> None:
        raise VersionConflict("late")

    async def nothing() -> None:
        return None

    with pytest.raises(GamguiError) as caught:
        asyncio.run(changed(nothing, late, busy="the session is", session="s-1"))
    assert caught.value.detail == "the session is being changed by others; try again"
    assert caught.value.fields == {"session": "s-1"}
    assert TRIES > 1


def test_no_use_case_has_a_loop_of_its_own() -> None:
    (root,) = shared.core.__path__
    loops = [
        f"{path.name}:{node.lineno}"
        for path in Path(root).rglob("*.py")
        if path.name != "changes.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.For | ast.While | ast.AsyncFor)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Name) and inner.id == "VersionConflict"
    ]
    assert loops == []
