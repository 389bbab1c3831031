"""Sends input to a script, and keeps the script from taking broken-off input for complete input."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence

from shared.core.files.script_output import Answer
from shared.errors import GamguiError


async def send(
    run: Callable[[AsyncIterator[bytes] | None], Awaitable[Answer]],
    source: AsyncIterator[bytes] | None,
    no_end: bytes,
) -> Sequence[str]:
    """Runs a script to its end.

    Args:
        run: Starts the script with its input.
        source: The input; None: the script reads no input. When the source raises, the script gets
            ``no_end`` and cleans up.
        no_end: Bytes that the script never takes for the end of complete input.

    Returns:
        The line that the script prints, split into words.

    Raises:
        Exception: The error that ``source`` raised, whatever the script prints.
        GamguiError: In all other cases, why the script failed.
    """
    raised: list[Exception] = []

    async def ended(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        try:
            async for data in pieces:
                yield data
        except Exception as error:  # noqa: BLE001 - after any error, the input must not look complete
            raised.append(error)
            yield no_end

    answer = await run(None if source is None else ended(source))
    words: Sequence[str] = ()
    try:
        words = await answer.line()
        await answer.end_quietly()
    except GamguiError:
        if not raised:
            raise
    finally:
        await answer.aclose()
    if raised:
        raise raised[0]
    return words
