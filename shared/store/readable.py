"""Pages of readable documents: an unreadable document does not keep others from being listed.

A newer release, or a change by hand, can leave a document that this release does not understand. The document
stays as it is. A request for this document alone gets an error; a list leaves it out and goes on behind it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from shared.errors import InternalError
from shared.store import documents

log = logging.getLogger(__name__)

_MORE = 200
_ROUNDS = 100
"""Most pages of nothing but unreadable documents that are passed over."""

_Row = TypeVar("_Row")
_T = TypeVar("_T")


async def readable(
    page: Callable[[int, _Row | None], Awaitable[Sequence[_Row]]],
    read: Callable[[_Row], _T],
    name: Callable[[_Row], str],
    *,
    limit: int,
    unreadable: set[str] | None = None,
) -> list[_T]:
    """The first documents that can be read. There are fewer than ``limit`` only when there are no more.

    Args:
        page: Takes a number and a row. Returns at most that many rows behind the row; None: from the
            beginning.
        read: Returns the value that a row holds; raises ``InternalError`` when the row cannot be read.
        name: Returns the id of a row's document.
        limit: Most values to return.
        unreadable: A set that gets the ids of the documents that are left out. The log names them in any
            case.

    Raises:
        InternalError: Too many documents cannot be read (reason ``DOCUMENT_INVALID``).
    """
    found: list[_T] = []
    last: _Row | None = None
    size = limit
    for _ in range(_ROUNDS):
        rows = await page(size, last)
        for row in rows:
            try:
                found.append(read(row))
            except InternalError as error:
                log.error("document %s is left out: %s", name(row), error.detail)  # noqa: TRY400 - no trace
                if unreadable is not None:
                    unreadable.add(name(row))
        if len(found) >= limit or len(rows) < size:
            return found[:limit]
        last, size = rows[-1], max(limit, _MORE)
    raise documents.invalid("document")
