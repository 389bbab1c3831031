"""Pages of what can be read: a document that cannot holds up none of the others.

A release that is older than a document, or a change by hand, makes one that we do not understand. It
stays as it is: whoever asks for it alone is told, and a list goes on behind it.
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
"""So many pages of nothing but unreadable documents are passed over."""

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
        page: At most so many rows behind a row; None: from the beginning.
        read: What a row means; raises ``InternalError`` when it cannot be read.
        name: The id of a row's document.
        limit: Most of them.
        unreadable: Takes the ids of those that are left out; the log names them in any case.

    Raises:
        InternalError: Too many cannot be read (reason ``DOCUMENT_INVALID``).
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
