"""The engine for one SQLite file, which is the store of the laptop edition.

Every change is one statement. So it is atomic without an explicit transaction, even while other tasks or
processes change the file.
"""

# ruff: noqa: S608 -- statements contain only names of collections and fields, which are checked

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import sqlite3
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shared.core.paging import Cursor
from shared.core.telemetry import SILENT, Telemetry
from shared.errors import GamguiError, InternalError
from shared.store import documents
from shared.store.documents import Document
from shared.store.engine import Admit, Answer, Collection, Found, Group, Member, Query
from shared.store.sqlite.file import SqliteFile
from shared.store.sqlite.tables import columns, name, order, prepare

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SqliteEngine:
    """An ``Engine`` in one file. The first call opens the file.

    Args:
        path: The file. It and its folders are created; only its owner can read it.
        telemetry: Gets a report of every call.
    """

    def __init__(self, path: Path, *, telemetry: Telemetry = SILENT) -> None:
        self._file = SqliteFile(path)
        self._telemetry = telemetry
        self._prepared: set[str] = set()
        self._preparing = asyncio.Lock()

    async def get(self, collection: Collection, document_id: str) -> Found | None:
        """See ``Engine.get``."""
        if not documents.is_document_id(document_id):
            return None
        async with self._call("get", collection):
            return await self._get(collection, document_id)

    async def create(
        self,
        collection: Collection,
        document_id: str,
        document: Document,
        *,
        member: Member | None = None,
        limit: int | None = None,
        admit: Admit | None = None,
    ) -> Answer:
        """See ``Engine.create``."""
        version = _new_version()
        values = _values(collection, document_id, document, version)
        if member is not None:
            values |= {"member": member.group, "member_at": documents.microseconds(member.at)}
        table = name(collection.name)
        # Nothing was added to the group since it was looked at.
        room = f"""NOT EXISTS (SELECT 1 FROM {table} WHERE member = :member AND id != :id
            AND id NOT IN (SELECT value FROM json_each(:SEEN)))"""
        counted = member is not None and (limit is not None or admit is not None)
        insert = f"""INSERT INTO {table} ({_columns(values)}) SELECT {_places(values)}
            WHERE {room if counted else "true"} ON CONFLICT (id) DO NOTHING RETURNING 1"""
        async with self._call("create", collection):
            while True:
                if counted:
                    others = await self._others(collection, values)
                    if limit is not None and len(others) >= limit:
                        return Answer(found=await self._get(collection, document_id))
                    try:
                        if admit is not None:
                            admit(others)
                    except GamguiError:
                        if found := await self._get(collection, document_id):
                            return Answer(found=found)
                        raise
                    values["SEEN"] = json.dumps([one.id for one in others])
                if await self._file.rows(insert, values):
                    return Answer(version=version)
                if found := await self._get(collection, document_id):
                    return Answer(found=found)
                # Another writer removed the document meanwhile, or added one to the group: try again.

    async def update(
        self,
        collection: Collection,
        document_id: str,
        document: Document,
        version: str,
        *,
        left: Member | None = None,
    ) -> str | None:
        """See ``Engine.update``. Fields of a newer release go: one release at a time uses a laptop's file."""
        values = _values(collection, document_id, document, _new_version())
        if left is not None:
            values |= {"member": None, "member_at": documents.microseconds(left.at)}
        update = f"""UPDATE {name(collection.name)} SET {_changes(values)}
            WHERE id = :id AND version = :WAS RETURNING version"""
        async with self._call("update", collection):
            rows = await self._file.rows(update, {**values, "WAS": version})
        return str(rows[0][0]) if rows else None

    async def put(self, collection: Collection, document_id: str, document: Document) -> None:
        """See ``Engine.put``."""
        values = _values(collection, document_id, document, _new_version())
        put = f"""INSERT INTO {name(collection.name)} ({_columns(values)}) VALUES ({_places(values)})
            ON CONFLICT (id) DO UPDATE SET {_changes(values)}"""
        async with self._call("put", collection):
            await self._file.rows(put, values)

    async def delete(
        self, collection: Collection, document_id: str, version: str, *, left: Member | None = None
    ) -> None:
        """See ``Engine.delete``. ``left`` is not needed: the table counts only documents that exist."""
        delete = f"DELETE FROM {name(collection.name)} WHERE id = ? AND version = ?"
        async with self._call("delete", collection):
            await self._file.rows(delete, (document_id, version))

    async def delete_all(self, collection: Collection, ids: Sequence[str]) -> None:
        """See ``Engine.delete_all``."""
        delete = f"DELETE FROM {name(collection.name)} WHERE id IN ({', '.join('?' * len(ids))})"
        async with self._call("delete_all", collection):
            await self._file.rows(delete, ids)

    async def find(self, query: Query) -> Sequence[Found]:
        """See ``Engine.find``."""
        where, values = _where(query)
        by = name(query.index.by) if query.index.by else "0"
        select = f"""SELECT id, version, document, {by} FROM {name(query.collection.name)} WHERE {where}
            ORDER BY {order(query.index)} LIMIT :LIMIT"""
        limit = -1 if query.limit is None else query.limit
        async with self._call("find", query.collection):
            rows = await self._file.rows(select, {**values, "LIMIT": limit})
        return [_placed(row, query.collection.listed) for row in rows]

    async def count(self, query: Query) -> int:
        """See ``Engine.count``."""
        where, values = _where(query)
        count = f"SELECT count(*) FROM {name(query.collection.name)} WHERE {where}"
        async with self._call("count", query.collection):
            (row,) = await self._file.rows(count, values)
        return int(row[0])

    async def group(self, collection: Collection, group_id: str) -> Group:
        """See ``Engine.group``."""
        members = f"SELECT count(*) FROM {name(collection.name)} WHERE member = :group"
        select = f"SELECT ({members}), (SELECT changed_at FROM {name(collection.groups)} WHERE id = :group)"
        async with self._call("group", collection):
            ((count, changed_at),) = await self._file.rows(select, {"group": group_id})
        return Group(int(count), None if changed_at is None else _time(changed_at))

    async def close(self) -> None:
        """See ``Engine.close``."""
        await self._file.close()

    @contextlib.asynccontextmanager
    async def _call(self, operation: str, collection: Collection) -> AsyncGenerator[None, None]:
        """Prepares the collection's table for one call, and reports the call."""
        with self._telemetry.store(operation, collection.name):
            if collection.name not in self._prepared:
                async with self._preparing:
                    await prepare(self._file.rows, collection)
                    self._prepared.add(collection.name)
            yield

    async def _others(self, collection: Collection, values: Mapping[str, Any]) -> Sequence[Found]:
        """The other members of a document's group."""
        select = f"""SELECT id, version, document FROM {name(collection.name)}
            WHERE member = :member AND id != :id"""
        rows = await self._file.rows(select, {key: values[key] for key in ("member", "id")})
        return [Found(row[0], _listed(_read(row[2]), collection.listed), row[1]) for row in rows]

    async def _get(self, collection: Collection, document_id: str) -> Found | None:
        select = f"SELECT id, version, document FROM {name(collection.name)} WHERE id = ?"
        rows = await self._file.rows(select, (document_id,))
        return Found(rows[0][0], _read(rows[0][2]), rows[0][1]) if rows else None


def _values(
    collection: Collection, document_id: str, document: Document, version: str
) -> dict[str, str | int | float | None]:
    documents.require_id(document_id)
    text = documents.to_json(document)
    return {"id": document_id, "version": version, "document": text, **columns(collection, document)}


def _columns(fields: Iterable[str]) -> str:
    return ", ".join(name(one) for one in fields)


def _places(fields: Iterable[str]) -> str:
    return ", ".join(f":{one}" for one in fields)


def _changes(fields: Iterable[str]) -> str:
    return ", ".join(f"{name(one)} = :{one}" for one in fields)


def _where(query: Query) -> tuple[str, Mapping[str, Any]]:
    index, values = query.index, dict[str, Any]()
    conditions = [f"{name(field)} = :{field}" for field in index.equal]
    values |= dict(zip(index.equal, query.values, strict=True))
    if index.by:
        conditions.append(f"{name(index.by)} IS NOT NULL")
    for bound, condition, value in (
        ("UNTIL", f"{name(index.by)} <= :UNTIL", query.until and documents.microseconds(query.until)),
        ("FIRST", "id >= :FIRST", query.first or None),
        ("END", "id < :END", query.end or None),
    ):
        if value is not None:
            conditions.append(condition)
            values[bound] = value
    if query.after is not None:
        documents.require_id(query.after.id)
        behind = "<" if index.newest_first else ">"
        values |= {"BEHIND": query.after.id, "AT": documents.microseconds(query.after.at)}
        place = (f"({name(index.by)}, id)", "(:AT, :BEHIND)") if index.by else ("id", ":BEHIND")
        conditions.append(f"{place[0]} {behind} {place[1]}")
    return " AND ".join(conditions) or "true", values


def _placed(row: sqlite3.Row, listed: Sequence[str]) -> Found:
    document_id, version, text, at = row
    return Found(document_id, _listed(_read(text), listed), version, Cursor(_time(at), document_id))


def _listed(document: Mapping[str, Any], listed: Sequence[str]) -> Mapping[str, Any]:
    """The fields of a document that lists have; all of them if lists leave none out."""
    return {name: value for name, value in document.items() if name in listed} if listed else document


def _read(text: str) -> Mapping[str, Any]:
    try:
        return documents.from_json(text)
    except InternalError:
        return {}


def _time(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _new_version() -> str:
    """A version that was never used, so that no old version matches a document removed and made again."""
    return secrets.token_hex(8)
