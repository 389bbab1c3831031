"""The one way to change a value that others may change too: read, decide, compare and set, repeat.

When the stored version is no longer the version that was read, the decision was based on outdated data.
So the reading and the decision are repeated too, not only the write.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.errors import VersionConflict

_Value = TypeVar("_Value")
_First = TypeVar("_First")
_Result = TypeVar("_Result")

TRIES = 5
"""Enough attempts where few writers change the same value at once: one writer succeeds in each round."""


async def changed(
    read: Callable[[], Awaitable[_Value]],
    change: Callable[[_Value | _First], Awaitable[_Result]],
    *,
    first: _First | None = None,
    tries: int = TRIES,
    busy: str,
    **about: str,
) -> _Result:
    """Reads a value and changes it; repeats both when another writer changed the value in between.

    Args:
        read: Returns the value that is stored now. An error that it raises ends the attempts.
        change: Gets the value, decides what it becomes, and stores the result with the value's version as
            the condition; it may also decide to store nothing. It raises ``VersionConflict`` when another
            writer was faster.
        first: The value for the first attempt; None: the first attempt calls ``read`` too.
        tries: Maximum number of attempts.
        busy: Subject and verb of the error message, such as "the session is".
        about: Values that the error mentions.

    Returns:
        What ``change`` returned.

    Raises:
        VersionConflict: Another writer was faster in every attempt.
    """
    for _ in range(tries):
        value: _Value | _First = await read() if first is None else first
        first = None
        try:
            return await change(value)
        except VersionConflict:
            continue
    raise VersionConflict(
        f"{busy} being changed by others; try again", reason=None, retry_after_seconds=None, **about
    )
