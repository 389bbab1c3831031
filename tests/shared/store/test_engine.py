"""A new entity costs one repository: two that exist only here, on both engines, and what engines promise."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, closing, nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.paging import Cursor
from shared.core.telemetry import SilentTelemetry, Telemetry
from shared.errors import Conflict, InternalError, StoreUnavailable, TooManyRequests, VersionConflict
from shared.reasons import Reason
from shared.store import documents
from shared.store.engine import Collection, Engine, Group, Index, Member, Query
from shared.store.firestore.engine import FirestoreEngine
from shared.store.repository import GroupFull, Present, Repository
from shared.store.sqlite.engine import SqliteEngine
from tests.shared.store.samples import NOON
from tests.shared.store.test_contract import many
from tests.support.needs import needs


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something with an index: notes of a topic, the latest first."""

    id: str
    topic: str
    at: datetime
    done: bool = False
    text: str = ""
    version: str = ""


OF_TOPIC = Index(equal=("topic", "done"), by="at", newest_first=True)
BY_TIME = Index(by="at")
DONE = Index(equal=("done",))
# Names that are words of SQL's.
NOTES = Collection(name="group", indexes=(OF_TOPIC, BY_TIME, DONE), unindexed=("text",))


class Notes:
    """The whole of what a new entity with an index costs."""

    def __init__(self, engine: Engine) -> None:
        self._notes = Repository(
            engine,
            NOTES,
            "note",
            id_of=lambda note: note.id,
            document=lambda note: documents.document_of(note, note.id),
            read=note_from,
        )

    async def add(self, note: Note) -> Note:
        try:
            return await self._notes.create(note)
        except Present:
            raise Conflict(f"Note {note.id} exists.", note=note.id) from None

    async def get(self, note_id: str) -> Note | None:
        return await self._notes.get(note_id)

    async def change(self, note: Note) -> Note:
        return await self._notes.update(note)

    async def remove(self, note: Note) -> None:
        await self._notes.remove(note)

    async def of(self, topic: str, *, done: bool, limit: int, after: Cursor | None = None) -> list[Note]:
        return await self._notes.page(OF_TOPIC, topic, done, limit=limit, after=after)

    async def until(self, time: datetime, *, limit: int, after: Cursor | None = None) -> list[Note]:
        return await self._notes.page(BY_TIME, until=time, limit=limit, after=after)


def note_from(document: Any, version: str) -> Note:
    with documents.reading("note"):
        return Note(**documents.values_of(Note, document, version))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Something with a limit per owner."""

    id: str
    owner: str
    made_at: datetime
    version: str = ""


KEYS = Collection(name="throwaway_keys", groups="throwaway_owners")


class Keys:
    """The whole of what a new entity with a limit per owner costs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._keys = Repository(
            engine,
            KEYS,
            "key",
            id_of=lambda key: key.id,
            document=lambda key: documents.document_of(key, key.id),
            read=lambda document, version: Key(**documents.values_of(Key, document, version)),
        )

    async def add(self, key: Key, *, limit: int) -> Key:
        try:
            return await self._keys.create(key, member=Member(key.owner, key.made_at), limit=limit)
        except Present:
            raise Conflict(f"Key {key.id} exists.", key=key.id) from None
        except GroupFull:
            raise TooManyRequests(f"{key.owner} has {limit} keys") from None

    async def retire(self, key: Key, at: datetime) -> Key:
        """It stays, and is not counted any more."""
        return await self._keys.update(key, left=Member(key.owner, at))

    async def remove(self, key: Key) -> None:
        await self._keys.remove(key, left=Member(key.owner, key.made_at))

    async def of(self, owner: str) -> Group:
        return await self._engine.group(KEYS, owner)


class Told(SilentTelemetry):
    """Takes the calls of a store."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def store(self, operation: str, collection: str = "") -> AbstractContextManager[None]:
        self.calls.append((operation, collection))
        return nullcontext()


Open = Callable[..., Engine]


@pytest.fixture(params=["sqlite", pytest.param("firestore", marks=needs("emulator"))])
async def open_engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens one more engine on the same data, of each kind in turn."""
    opened: list[Engine] = []
    if request.param == "firestore":
        host = request.getfixturevalue("firestore_host")
        project = request.getfixturevalue("firestore_project")

    def open_one(telemetry: Telemetry | None = None) -> Engine:
        told = telemetry or SilentTelemetry()
        opened.append(
            FirestoreEngine(project=project, emulator_host=host, telemetry=told)
            if request.param == "firestore"
            else SqliteEngine(tmp_path / "engine.db", telemetry=told)
        )
        return opened[-1]

    yield open_one
    for one in opened:
        await one.close()


@pytest.fixture
def notes(open_engine: Open) -> Notes:
    return Notes(open_engine())


@pytest.fixture
def keys(open_engine: Open) -> Keys:
    return Keys(open_engine())


def a_note(number: int, **changes: Any) -> Note:
    return dataclasses.replace(
        Note(id=f"n-{number}", topic="tea", at=NOON + timedelta(microseconds=number)), **changes
    )


class TestAnEntityWithAnIndex:
    async def test_it_is_stored_changed_and_removed_by_its_version(self, notes: Notes) -> None:
        made = await notes.add(a_note(1))
        assert await notes.get("n-1") == made
        with pytest.raises(Conflict):
            await notes.add(a_note(1, text="another"))
        changed = await notes.change(dataclasses.replace(made, text="größer", done=True))
        assert await notes.get("n-1") == changed
        with pytest.raises(VersionConflict) as caught:
            await notes.change(made)
        assert caught.value.fields == {"note": "n-1"}
        await notes.remove(made)
        assert await notes.get("n-1") == changed
        await notes.remove(changed)
        assert await notes.get("n-1") is None

    async def test_lists_are_those_of_a_python_list(self, notes: Notes) -> None:
        made = [
            await notes.add(
                a_note(n, at=NOON + timedelta(seconds=n // 3), done=n % 4 == 0, topic="tea" if n % 5 else "x")
            )
            for n in range(12)
        ]
        expected = sorted(
            (one for one in made if one.topic == "tea" and not one.done),
            key=lambda one: (one.at, one.id),
            reverse=True,
        )
        for limit in (1, 2, 100):
            seen: list[Note] = []
            after = None
            while page := await notes.of("tea", done=False, limit=limit, after=after):
                seen += page
                after = Cursor(page[-1].at, page[-1].id)
            assert seen == expected
        due = await notes.until(NOON + timedelta(seconds=1), limit=100)
        assert due == sorted(
            (one for one in made if one.at <= NOON + timedelta(seconds=1)), key=lambda one: (one.at, one.id)
        )

    @given(note=st.builds(a_note, st.integers(0, 9), text=st.text(st.characters(exclude_categories=["Cs"]))))
    @many
    async def test_every_value_survives(self, notes: Notes, note: Note) -> None:
        stored = await notes.get(note.id)
        if stored is not None:
            await notes.remove(stored)
        made = await notes.add(note)
        assert await notes.get(note.id) == made == dataclasses.replace(note, version=made.version)

    async def test_ids_bound_a_count_and_a_list(self, open_engine: Open) -> None:
        engine = open_engine()
        notes = Notes(engine)
        for number in range(6):
            await notes.add(a_note(number, done=number != 2))
        query = Query(collection=NOTES, index=DONE, values=(True,), first="n-1", end="n-5")
        assert await engine.count(query) == 3
        found = await engine.find(dataclasses.replace(query, limit=2))
        assert [one.id for one in found] == ["n-1", "n-3"]
        rest = await engine.find(dataclasses.replace(query, limit=9, after=found[-1].place))
        assert [one.id for one in rest] == ["n-4"]

    async def test_of_many_that_change_one_version_one_does(self, notes: Notes, open_engine: Open) -> None:
        other, made = Notes(open_engine()), await notes.add(a_note(1))
        results = await asyncio.gather(
            *((notes, other)[n % 2].change(dataclasses.replace(made, text=str(n))) for n in range(10)),
            return_exceptions=True,
        )
        assert sum(isinstance(one, Note) for one in results) == 1

    @pytest.mark.parametrize("note_id", ["", ".", "a/b", "__x__", "x" * 1501, "\ud800"])
    async def test_what_cannot_be_an_id_does_not_exist(self, notes: Notes, note_id: str) -> None:
        assert await notes.get(note_id) is None
        with pytest.raises(ValueError, match="id"):
            await notes.add(a_note(1, id=note_id))

    async def test_a_document_that_cannot_be_read_is_left_out_and_told(
        self, notes: Notes, open_engine: Open
    ) -> None:
        made = [await notes.add(a_note(number)) for number in range(3)]
        engine = open_engine()
        document = {**documents.document_of(made[1], "n-1"), "text": None}
        del document["topic"]
        await engine.put(
            NOTES, "n-1", {**document, "topic": "tea", "at": made[1].at, "done": False, "extra": 1}
        )
        assert await notes.get("n-1") is not None  # what is more than we know is passed over
        await engine.put(NOTES, "n-1", {"topic": "tea", "at": made[1].at, "done": False})
        assert [one.id for one in await notes.of("tea", done=False, limit=9)] == ["n-2", "n-0"]
        with pytest.raises(InternalError) as caught:
            await notes.get("n-1")
        assert caught.value.reason == Reason.DOCUMENT_INVALID


class TestAnEntityWithALimit:
    async def test_of_many_at_once_exactly_as_many_as_there_is_room_for(self, open_engine: Open) -> None:
        all_keys = [Keys(open_engine()) for _ in range(4)]
        results = await asyncio.gather(
            *(
                one.add(Key(id=f"k.{number}-{n}", owner="ann", made_at=NOON), limit=5)
                for n, one in enumerate(all_keys)
                for number in range(4)
            ),
            return_exceptions=True,
        )
        made = [one for one in results if isinstance(one, Key)]
        refused = [one for one in results if isinstance(one, TooManyRequests)]
        assert (len(made), len(refused)) == (5, 11)
        assert (await all_keys[0].of("ann")).members == 5
        assert (await all_keys[0].of("bob")) == Group(0, None)
        await all_keys[1].add(Key(id="other", owner="bob", made_at=NOON), limit=1)

    @pytest.mark.parametrize("how", ["retire", "remove"])
    async def test_one_that_leaves_makes_room_for_one(self, keys: Keys, how: str) -> None:
        first = await keys.add(Key(id="k`1\\", owner="ann", made_at=NOON), limit=1)
        with pytest.raises(TooManyRequests):
            await keys.add(Key(id="k2", owner="ann", made_at=NOON), limit=1)
        with pytest.raises(Conflict):
            await keys.add(first, limit=1)
        await (keys.retire(first, NOON + timedelta(days=1)) if how == "retire" else keys.remove(first))
        assert (await keys.of("ann")).members == 0
        await keys.add(Key(id="k2", owner="ann", made_at=NOON), limit=1)
        with pytest.raises(TooManyRequests):
            await keys.add(Key(id="k3", owner="ann", made_at=NOON), limit=1)

    async def test_a_change_that_does_not_happen_makes_no_room(self, keys: Keys) -> None:
        first = await keys.add(Key(id="k1", owner="ann", made_at=NOON), limit=1)
        late = dataclasses.replace(first, version="2026-03-01T12:00:00.000001Z")
        with pytest.raises(VersionConflict):
            await keys.retire(late, NOON)
        await keys.remove(late)
        with pytest.raises(TooManyRequests):
            await keys.add(Key(id="k2", owner="ann", made_at=NOON), limit=1)


async def test_every_call_is_told_by_its_name_and_its_collection(open_engine: Open) -> None:
    told = Told()
    engine = open_engine(told)
    await engine.create(NOTES, "n", {"topic": "tea", "at": NOON, "done": False})
    found = await engine.get(NOTES, "n")
    assert found is not None
    await engine.update(NOTES, "n", {"topic": "tea", "at": NOON, "done": True}, found.version)
    await engine.put(NOTES, "m", {"topic": "tea", "at": NOON, "done": False})
    query = Query(collection=NOTES, index=BY_TIME, limit=3)
    assert [one.id for one in await engine.find(query)] == ["m", "n"]
    assert await engine.count(dataclasses.replace(query, limit=None)) == 2
    await engine.delete(NOTES, "n", "2026-03-01T12:00:00.000001Z")
    await engine.delete_all(NOTES, ["m", "gone"])
    await engine.group(KEYS, "ann")
    names = ["create", "get", "update", "put", "find", "count", "delete", "delete_all"]
    assert told.calls == [*((name, NOTES.name) for name in names), ("group", KEYS.name)]
    await engine.close()
    with pytest.raises(StoreUnavailable):
        await engine.get(NOTES, "n")


def test_an_index_is_declared_or_there_is_no_query() -> None:
    with pytest.raises(ValueError, match="declare"):
        Query(collection=KEYS, index=BY_TIME)
    with pytest.raises(ValueError, match="values"):
        Query(collection=NOTES, index=DONE)
    for name in ("Notes", "a-b", "a b", '"', "id", "version", "", "1a", "x" * 99):
        with pytest.raises(ValueError, match="name"):
            Collection(name=name)
        with pytest.raises(ValueError, match="name"):
            Collection(name="notes", indexes=(Index(equal=(name or " ",)),))
    with pytest.raises(ValueError, match="read"):
        Collection(name="notes", indexes=(BY_TIME,), listed=("topic",))


async def test_an_index_that_is_declared_later_finds_what_was_there_before(tmp_path: Path) -> None:
    """SQLite has it in columns; documents of before are read once."""
    path = tmp_path / "engine.db"
    first = SqliteEngine(path)
    without = dataclasses.replace(NOTES, indexes=())
    for number in range(3):
        note = a_note(number)
        await first.put(without, note.id, documents.document_of(note, note.id))
    await first.close()
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("""INSERT INTO "group" VALUES ('spoiled', 'v', 'nonsense')""")
    second = SqliteEngine(path)
    assert [one.id for one in await Notes(second).of("tea", done=False, limit=9)] == ["n-2", "n-1", "n-0"]
    assert [one.id for one in await Notes(second).until(NOON, limit=9)] == ["n-0"]
    await second.close()


@pytest.mark.parametrize("index", NOTES.indexes)
async def test_sqlite_uses_the_index(tmp_path: Path, index: Index) -> None:
    from shared.store.sqlite.engine import _where
    from shared.store.sqlite.tables import order

    engine = SqliteEngine(tmp_path / "engine.db")
    await engine.get(NOTES, "n")
    after = Cursor(NOON, "n")
    query = Query(
        collection=NOTES,
        index=index,
        values=("tea", True)[-len(index.equal) :] if index.equal else (),
        after=after,
        limit=1,
    )
    where, values = _where(query)
    plan = f'EXPLAIN QUERY PLAN SELECT id FROM "group" WHERE {where} ORDER BY {order(index)} LIMIT 1'
    steps = " ".join(row[3] for row in await engine._file.rows(plan, values))
    assert "USING" in steps and "INDEX group_by_" in steps and "TEMP B-TREE" not in steps, steps
    await engine.close()
