"""The one way to change what others may change at the same time: read, decide, compare and set, repeat.

When the version that was read is no longer the stored one, the decision rests on what is not true any more.
So everything from the reading on is repeated, not only the write.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.errors import VersionConflict

_Value = TypeVar("_Value")
_First = TypeVar("_First")
_Result = TypeVar("_Result")

TRIES = 5
"""Enough where few change the same thing at once: each round, one of them gets through."""


async def changed(
    read: Callable[[], Awaitable[_Value]],
    change: Callable[[_Value | _First], Awaitable[_Result]],
    *,
    first: _First | None = None,
    tries: int = TRIES,
    busy: str,
    **about: str,
) -> _Result:
    """Reads a value and changes it, as often as somebody else is faster.

    Args:
        read: Gives the value that is stored now. What it raises ends the attempts.
        change: Decides by the value and stores, under the value's version, what it becomes; it may also
            decide that nothing is to be stored. ``VersionConflict`` says that somebody else was faster.
        first: The value that the first attempt decides by; None: it reads one as well.
        tries: Most attempts.
        busy: What cannot be changed when every attempt was too slow, with its verb: "the session is".
        about: Values that the error mentions.

    Returns:
        What ``change`` returned.

    Raises:
        VersionConflict: Somebody else was faster in every attempt.
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
