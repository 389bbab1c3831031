"""Makes the SQLite table of a collection from what its repository declares.

The table holds the documents as JSON, and one column for each field of an index: times in microseconds since
1970, flags as 0 and 1. Where documents are counted, a column holds the group of each document, and triggers
update the table of groups when a document begins or ends to be counted.
"""

# ruff: noqa: S608 -- statements contain only names of collections and fields, which are checked

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from shared.errors import InternalError, StoreUnavailable
from shared.store import documents
from shared.store.documents import Document
from shared.store.engine import Collection, Index

Rows: TypeAlias = Callable[[str, Any], Awaitable[Sequence[sqlite3.Row]]]
"""Runs one statement with its parameters."""

Value: TypeAlias = str | int | float | None


def columns(collection: Collection, document: Document) -> dict[str, Value]:
    """The values of a document's indexed fields, by the names of their columns."""
    return {field: _value(document.get(field)) for field in fields(collection)}


def fields(collection: Collection) -> list[str]:
    """The fields that have columns."""
    return sorted({field for index in collection.indexes for field in _fields(index)})


def name(of: str) -> str:
    """The name of a collection or field in quotes, because it may be a keyword of SQL."""
    return f'"{of}"'


def order(index: Index) -> str:
    """The columns that order documents which have the same values in ``index.equal``."""
    direction = "DESC" if index.newest_first else "ASC"
    return ", ".join(f"{name(field)} {direction}" for field in (index.by, "id") if field)


async def prepare(rows: Rows, collection: Collection) -> None:
    """Makes the missing parts of a collection's table. Several processes may do this at once.

    Each index is made last: while it is missing, its columns may be empty, and the next call fills them
    again.
    """
    table = collection.name
    made = {row[0] for row in await rows("SELECT name FROM sqlite_master WHERE tbl_name = ?", (table,))}
    if table not in made:
        await rows(
            f"""CREATE TABLE IF NOT EXISTS {name(table)}
            (id TEXT PRIMARY KEY, version TEXT NOT NULL, document TEXT NOT NULL) STRICT""",
            (),
        )
    for index in collection.indexes:
        called = "_".join((table, "by", *_fields(index), *(["latest"] if index.newest_first else [])))
        if called not in made:
            for field in _fields(index):
                await _add_column(rows, table, field, "ANY")
                await _fill(rows, table, field, is_time=field == index.by)
            on = ", ".join((*(name(field) for field in index.equal), order(index)))
            await rows(f"CREATE INDEX IF NOT EXISTS {called} ON {name(table)} ({on})", ())
    if collection.groups and f"{table}_by_member" not in made:
        await _prepare_groups(rows, table, collection.groups)


def _fields(index: Index) -> tuple[str, ...]:
    return (*index.equal, index.by) if index.by else index.equal


async def _prepare_groups(rows: Rows, table: str, groups: str) -> None:
    """Makes triggers that count the documents, so that a document and its group change in one step."""
    await rows(
        f"""CREATE TABLE IF NOT EXISTS {name(groups)}
        (id TEXT PRIMARY KEY, changed_at INTEGER NOT NULL) STRICT""",
        (),
    )
    await _add_column(rows, table, "member", "TEXT")
    await _add_column(rows, table, "member_at", "INTEGER")
    now = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
    for event, condition, member, at in (
        ("INSERT", "NEW.member IS NOT NULL", "NEW.member", "NEW.member_at"),
        (
            "UPDATE OF member",
            "OLD.member IS NOT NEW.member",
            "ifnull(OLD.member, NEW.member)",
            "NEW.member_at",
        ),
        ("DELETE", "OLD.member IS NOT NULL", "OLD.member", now),
    ):
        called = f"{table}_member_{event.split()[0].lower()}"
        await rows(
            f"""CREATE TRIGGER IF NOT EXISTS {called} AFTER {event} ON {name(table)} WHEN {condition} BEGIN
            INSERT INTO {name(groups)} VALUES ({member}, {at}) ON CONFLICT (id)
            DO UPDATE SET changed_at = max(changed_at, excluded.changed_at); END""",
            (),
        )
    await rows(
        f"CREATE INDEX IF NOT EXISTS {table}_by_member ON {name(table)} (member) WHERE member IS NOT NULL", ()
    )


async def _add_column(rows: Rows, table: str, column: str, kind: str) -> None:
    there = "SELECT 1 FROM pragma_table_info(?) WHERE name = ?"
    if await rows(there, (table, column)):
        return
    try:
        await rows(f"ALTER TABLE {name(table)} ADD COLUMN {name(column)} {kind}", ())
    except StoreUnavailable:
        if not await rows(there, (table, column)):  # another process has made the column meanwhile
            raise


async def _fill(rows: Rows, table: str, field: str, *, is_time: bool) -> None:
    """Fills the column of a field from the documents. No index finds a document that cannot be read."""
    select = f"SELECT id, document FROM {name(table)} WHERE {name(field)} IS NULL"
    update = f"UPDATE {name(table)} SET {name(field)} = ? WHERE id = ? AND {name(field)} IS NULL"
    for document_id, text in await rows(select, ()):
        try:
            value = documents.from_json(text).get(field)
            filled = _value(documents.required_time(value) if is_time and value is not None else value)
        except (InternalError, TypeError, ValueError):
            continue
        if filled is not None:
            await rows(update, (filled, document_id))


def _value(value: object) -> Value:
    if isinstance(value, datetime):
        return documents.microseconds(value)
    if isinstance(value, bool | int):
        return int(value)
    return value if isinstance(value, str | float) else None
