"""What a database does with documents: one port, of which each backend is an engine.

A repository declares its ``Collection`` once: its name and the indexes by which documents are found. An
engine knows no entity. Every change is one atomic step, and every change but ``put`` is a compare-and-set on
the version.

Every method of an engine raises ``StoreUnavailable`` when the database does not answer in time, and is one
call told to the telemetry, by the method's name and the collection's.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from shared.core.paging import Cursor
from shared.store.documents import Document

MAX_DELETED_AT_ONCE = 500

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
_RESERVED = ("id", "version", "document", "member", "member_at")
"""What SQLite's tables call their own columns."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An order in which documents can be found: those with given values, by a time and then by id.

    Attributes:
        equal: Fields whose values a query gives: ``str`` or ``bool``.
        by: Field with the time that orders; empty: documents come by id alone. A document without
            that time must not be looked for but by ``Query.until``, which it never meets.
        newest_first: Latest time first, and largest id.
    """

    equal: tuple[str, ...] = ()
    by: str = ""
    newest_first: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Documents of one kind.

    Attributes:
        name: Firestore's collection, SQLite's table.
        indexes: All that are used. Those of Firestore with more than one field are in Terraform as well.
        listed: The fields that a query reads; none: all.
        unindexed: Fields with long or ever-new values, which Firestore is not to index.
        expires_by: Field with the time after which the database may remove a document by itself.
        groups: Collection of the groups in which documents are counted; empty: they are not counted.
    """

    name: str
    indexes: tuple[Index, ...] = ()
    listed: tuple[str, ...] = ()
    unindexed: tuple[str, ...] = ()
    expires_by: str = ""
    groups: str = ""

    def __post_init__(self) -> None:
        fields = [field for index in self.indexes for field in (*index.equal, index.by) if field]
        for name in (self.name, self.groups or self.name, *fields):
            if not _NAME.fullmatch(name) or name in _RESERVED:
                raise ValueError(f"{name!r} cannot be a collection's or an indexed field's name")
        if self.listed and not {index.by for index in self.indexes} <= {*self.listed, ""}:
            raise ValueError(f"lists of {self.name} go by a time that they do not read")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which documents of a collection, by one of its indexes.

    Attributes:
        values: Those of ``index.equal``, in its order.
        until: Only documents in which the time of ``index.by`` has come by then.
        first: The smallest id, where documents come by id alone; empty: whatever it is.
        end: There, ids are smaller; empty: whatever they are.
        after: Only those behind this place; where documents come by id alone, its time says nothing.
        limit: Most documents; None: all, to be counted.
    """

    collection: Collection
    index: Index
    values: tuple[str | bool, ...] = ()
    until: datetime | None = None
    first: str = ""
    end: str = ""
    after: Cursor | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.index not in self.collection.indexes:
            raise ValueError(f"{self.collection.name} does not declare the index {self.index}")
        if len(self.values) != len(self.index.equal):
            raise ValueError(f"the index {self.index} takes {len(self.index.equal)} values")
        if (self.until and not self.index.by) or (self.index.by and (self.first or self.end)):
            raise ValueError("a time bounds an index by a time, and ids one by ids")


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """A stored document.

    Attributes:
        document: Times as ``datetime`` or RFC 3339. Empty when it cannot be read at all.
        version: Never had by another document, nor by this one before.
        place: Where a query found it, for ``Query.after``; None when it was asked for by id.
    """

    id: str
    document: Mapping[str, Any]
    version: str
    place: Cursor | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """That a document begins or ends to be counted in a group.

    Attributes:
        group: Id of the group.
        at: When that happens.
    """

    group: str
    at: datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """A group of documents that are counted.

    Attributes:
        members: How many there are now.
        changed_at: When a document last began or ended to be counted, by ``Member.at`` or by the database's
            own clock; also when its documents are gone. None: never.
    """

    members: int
    changed_at: datetime | None


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What became of a create.

    Attributes:
        version: The document's; None when it was not created.
        found: In that case the document that has its id; None when its group is full.
    """

    version: str | None = None
    found: Found | None = None


class Engine(Protocol):
    """Keeps documents. An id that ``documents.is_document_id`` refuses has none."""

    async def get(self, collection: Collection, document_id: str) -> Found | None:
        """The document, whole; or None."""
        ...

    async def create(
        self,
        collection: Collection,
        document_id: str,
        document: Document,
        *,
        member: Member | None = None,
        limit: int | None = None,
    ) -> Answer:
        """Stores a document if there is none with this id.

        Args:
            collection: Where.
            document_id: Its id.
            document: What it holds.
            member: The group in which it is counted until ``update`` or ``delete`` says that it has left.
            limit: The group may have so many members, this one included. That is exact, whoever creates at
                the same time. None: any number.

        Raises:
            ValueError: The id cannot be a document's.
        """
        ...

    async def update(
        self,
        collection: Collection,
        document_id: str,
        document: Document,
        version: str,
        *,
        left: Member | None = None,
    ) -> str | None:
        """Replaces what we know of a document if it still has this version.

        Args:
            collection: Where.
            document_id: Its id.
            document: What it becomes. Fields of a newer release stay, where one can have written any.
            version: What it must have.
            left: The group in which it is not counted from this very moment on.

        Returns:
            Its new version; None when it has another one, or is gone.
        """
        ...

    async def put(self, collection: Collection, document_id: str, document: Document) -> None:
        """Stores a document, in the place of the one with its id if there is one."""
        ...

    async def delete(
        self, collection: Collection, document_id: str, version: str, *, left: Member | None = None
    ) -> None:
        """Removes a document if it still has this version; ``left`` as in ``update``."""
        ...

    async def delete_all(self, collection: Collection, ids: Sequence[str]) -> None:
        """Removes documents, whatever their versions; those that are gone are fine.

        Args:
            collection: Where, and in which no document is counted.
            ids: At most ``MAX_DELETED_AT_ONCE``.
        """
        ...

    async def find(self, query: Query) -> Sequence[Found]:
        """The documents that a query finds, in the order of its index; of each the fields that lists read."""
        ...

    async def count(self, query: Query) -> int:
        """How many documents a query finds."""
        ...

    async def group(self, collection: Collection, group_id: str) -> Group:
        """A group of this collection's documents."""
        ...

    async def close(self) -> None:
        """Releases connections; may be called again. The engine is not used afterwards."""
        ...
