"""The base of all repositories: keeps values of one kind as documents of one collection."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from shared.core.paging import Cursor
from shared.errors import InternalError, VersionConflict
from shared.store.documents import Document
from shared.store.engine import Collection, Engine, Found, Index, Member, Query
from shared.store.readable import readable


class Versioned(Protocol):
    """A frozen dataclass that is stored under a version."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    @property
    def version(self) -> str:
        """The store's version of the value; empty: the value was never stored."""
        ...


_T = TypeVar("_T", bound=Versioned)
_Read = TypeVar("_Read")


class Present(Exception):
    """There is already a document with this id.

    Attributes:
        found: That document.
    """

    def __init__(self, found: Found) -> None:
        super().__init__(found.id)
        self.found = found


class GroupFull(Exception):
    """The group has as many members as it may have, so that no document can be added."""


class Repository(Generic[_T]):
    """Keeps values of one kind in one collection.

    Args:
        engine: Keeps the documents.
        collection: The collection.
        kind: The word for a value in error messages, such as "session".
        id_of: Returns the id of a value.
        document: Converts a value to a document. Raises ``ValueError`` when the value cannot be stored.
        read: Converts a document and its version to a value. Raises ``InternalError`` when it holds no value.
    """

    def __init__(
        self,
        engine: Engine,
        collection: Collection,
        kind: str,
        *,
        id_of: Callable[[_T], str],
        document: Callable[[_T], Document],
        read: Callable[[Mapping[str, Any], str], _T],
    ) -> None:
        self._engine = engine
        self._collection = collection
        self._kind = kind
        self._id_of = id_of
        self._document = document
        self._read = read

    async def get(self, document_id: str) -> _T | None:
        """The value with this id, or None.

        Raises:
            InternalError: The document cannot be read (reason ``DOCUMENT_INVALID``).
        """
        found = await self._engine.get(self._collection, document_id)
        return None if found is None else self.value(found)

    async def create(
        self,
        value: _T,
        *,
        member: Member | None = None,
        limit: int | None = None,
        admit: Callable[[Sequence[_T]], None] | None = None,
    ) -> _T:
        """Stores a new value; ``member``, ``limit`` and ``admit`` are those of ``Engine.create``.

        ``admit`` gets the readable members: a newer release's documents may be among the others.

        Returns:
            The value with its version.

        Raises:
            Present: There is already a document with its id.
            GroupFull: The group has ``limit`` members.
            GamguiError: What ``admit`` raises.
        """
        document_id, document = self._id_of(value), self._document(value)

        def admitted(others: Sequence[Found]) -> None:
            assert admit is not None
            admit([one for found in others for one in self._readable(found)])

        answer = await self._engine.create(
            self._collection,
            document_id,
            document,
            member=member,
            limit=limit,
            admit=None if admit is None else admitted,
        )
        if answer.version is not None:
            return dataclasses.replace(value, version=answer.version)
        if answer.found is not None:
            raise Present(answer.found)
        raise GroupFull

    async def update(self, value: _T, *, left: Member | None = None) -> _T:
        """Replaces the stored value if it still has ``value.version``; ``left`` as in ``Engine.update``.

        Returns:
            The value with its new version.

        Raises:
            VersionConflict: The stored value has another version, or is gone.
        """
        document_id, document = self._id_of(value), self._document(value)
        version = await self._engine.update(self._collection, document_id, document, value.version, left=left)
        if version is None:
            raise VersionConflict(
                f"{self._kind.capitalize()} {document_id} was changed meanwhile.",
                reason=None,
                retry_after_seconds=None,
                **{self._kind: document_id},
            )
        return dataclasses.replace(value, version=version)

    async def remove(self, value: _T, *, left: Member | None = None) -> None:
        """Removes the stored value if it still has ``value.version``; ``left`` as in ``Engine.update``."""
        await self._engine.delete(self._collection, self._id_of(value), value.version, left=left)

    async def page(
        self,
        index: Index,
        *values: str | bool,
        limit: int,
        after: Cursor | None,
        until: datetime | None = None,
        unreadable: set[str] | None = None,
    ) -> list[_T]:
        """The first readable values by an index; arguments as in ``Query`` and ``readable_page``."""
        query = Query(
            collection=self._collection, index=index, values=values, until=until, limit=limit, after=after
        )
        return await readable_page(self._engine, query, self.value, unreadable)

    def _readable(self, found: Found) -> Iterator[_T]:
        with contextlib.suppress(InternalError):
            yield self.value(found)

    def value(self, found: Found) -> _T:
        """The value that a document holds.

        Raises:
            InternalError: The document holds no value of this kind (reason ``DOCUMENT_INVALID``).
        """
        return self._read(found.document, found.version)


async def readable_page(
    engine: Engine, query: Query, value: Callable[[Found], _Read], unreadable: set[str] | None = None
) -> list[_Read]:
    """The readable results of a query. There are fewer than ``query.limit`` only when there are no more.

    Args:
        engine: Finds the documents.
        query: The query, with a limit.
        value: Returns the value that a document holds; raises ``InternalError`` when it cannot be read.
        unreadable: A set that gets the ids of the documents that are left out. The log names them in any
            case.
    """

    async def rows(size: int, last: Found | None) -> Sequence[Found]:
        after = query.after if last is None else last.place
        return await engine.find(dataclasses.replace(query, limit=size, after=after))

    assert query.limit is not None  # a query without a limit is for counting only
    return await readable(rows, value, lambda one: one.id, limit=query.limit, unreadable=unreadable)
