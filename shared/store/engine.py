"""The port between repositories and databases. Each database is an engine that implements it.

A repository declares its ``Collection`` once: its name, and the indexes by which documents are found. An
engine knows nothing of the entities. Every change is one atomic step, and every change except ``put`` is a
compare-and-set on the version.

Every method of an engine raises ``StoreUnavailable`` when the database does not answer in time. Every call is
reported once to the telemetry, under the names of the method and the collection.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from shared.core.paging import Cursor
from shared.store.documents import Document

MAX_DELETED_AT_ONCE = 500

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
_RESERVED = ("id", "version", "document", "member", "member_at")
"""Names of columns that every SQLite table has; no field of a document may have them."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An order in which documents can be found: those with given values, by a time and then by id.

    Attributes:
        equal: Names of the fields whose values a query gives; the values are ``str`` or ``bool``.
        by: Name of the field with the time that orders the documents. Empty: documents are ordered by id
            alone. Documents without that time can be searched with ``Query.until`` only, which never finds
            them.
        newest_first: Whether the latest time comes first, and then the largest id.
    """

    equal: tuple[str, ...] = ()
    by: str = ""
    newest_first: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Documents of one kind.

    Attributes:
        name: Name of the collection in Firestore and of the table in SQLite.
        indexes: All indexes that queries use. Terraform also declares those of more than one field, for
            Firestore.
        listed: Names of the fields that a query reads; none: all fields.
        unindexed: Names of fields with long or ever-new values, which Firestore is not to index.
        expires_by: Name of the field with the time after which the database itself may remove a document.
        groups: Name of the collection of groups in which documents are counted; empty: they are not counted.
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
    """Selects documents of a collection by one of its indexes.

    Attributes:
        values: The values of the fields in ``index.equal``, in that order.
        until: Selects only documents whose time in ``index.by`` is not later than this.
        first: The smallest id to select, where documents are ordered by id alone; empty: no lower limit.
        end: The id before which the selection ends, in the same case; empty: no upper limit.
        after: Selects only documents behind this place. Its time is ignored where documents are ordered by id
            alone.
        limit: Most documents; None: all, which is for counting only.
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
        document: Its fields; times are ``datetime`` or RFC 3339. Empty when the document cannot be read at
            all.
        version: Its version. No other document and no earlier state of this one ever had the same version.
        place: Where a query found the document, for ``Query.after``; None when it was read by its id.
    """

    id: str
    document: Mapping[str, Any]
    version: str
    place: Cursor | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """The change by which a document begins or ends to be counted in a group.

    Attributes:
        group: Id of the group.
        at: Time of the change.
    """

    group: str
    at: datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """A group of documents that are counted.

    Attributes:
        members: Number of documents that are counted now.
        changed_at: When a document last began or ended to be counted, by ``Member.at`` or by the database's
            own clock. It stays when the documents are gone. None: never.
    """

    members: int
    changed_at: datetime | None


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """The result of a create.

    Attributes:
        version: Version of the new document; None when it was not created.
        found: When it was not created: the document that has the id, or None when the group is full.
    """

    version: str | None = None
    found: Found | None = None


Admit: TypeAlias = Callable[[Sequence[Found]], None]
"""Gets the documents of a group's members, each with the fields in ``Collection.listed``. Raises if there is
no room for another member."""


class Engine(Protocol):
    """Keeps documents. There is no document under an id that ``documents.is_document_id`` rejects."""

    async def get(self, collection: Collection, document_id: str) -> Found | None:
        """The whole document, or None."""
        ...

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
        """Stores a document if there is none with this id.

        Args:
            collection: The collection.
            document_id: Id of the document.
            document: Its fields.
            member: The group in which the document is counted until ``update`` or ``delete`` says that it has
                left.
            limit: Most members that the group may have, with this document. The limit is exact, even when
                other documents are created at the same time. None: no limit.
            admit: Decides by the group's other members whether the document may be stored. It may be asked
                several times, and its last answer is about members to which none was added until the document
                was stored. None: every document may be stored.

        Raises:
            ValueError: The id cannot be a document's.
            GamguiError: What ``admit`` raises; never if there is a document with this id.
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
        """Replaces the fields that we know of a document, if it still has this version.

        Args:
            collection: The collection.
            document_id: Id of the document.
            document: The new fields. Where a newer release can have written fields of its own, these stay.
            version: The version that the document must have.
            left: The group in which the document is no longer counted from the moment of the change.

        Returns:
            The new version; None when the document has another version or is gone.
        """
        ...

    async def put(self, collection: Collection, document_id: str, document: Document) -> None:
        """Stores a document, and replaces the document with the same id if there is one."""
        ...

    async def delete(
        self, collection: Collection, document_id: str, version: str, *, left: Member | None = None
    ) -> None:
        """Removes a document if it still has this version; ``left`` as in ``update``."""
        ...

    async def delete_all(self, collection: Collection, ids: Sequence[str]) -> None:
        """Removes documents whatever their versions are. Ids without a document are ignored.

        Args:
            collection: The collection, whose documents are not counted in groups.
            ids: Ids of the documents, at most ``MAX_DELETED_AT_ONCE``.
        """
        ...

    async def find(self, query: Query) -> Sequence[Found]:
        """The documents that a query finds, in the order of its index, each with the fields in ``listed``."""
        ...

    async def count(self, query: Query) -> int:
        """How many documents a query finds."""
        ...

    async def group(self, collection: Collection, group_id: str) -> Group:
        """The state of a group of this collection's documents."""
        ...

    async def close(self) -> None:
        """Releases the connections; may be called again. The engine is not used afterwards."""
        ...
