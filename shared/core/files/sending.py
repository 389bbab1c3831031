"""Sends input to a script, which must not take input that broke off for input that ended."""

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
        source: The input; None: the script reads none. When the input raises, the script gets
            ``no_end`` and cleans up behind itself.
        no_end: What the script never takes for the end of whole input.

    Returns:
        The line that the script answers, as words.

    Raises:
        Exception: What ``source`` has raised, whatever the script says.
        GamguiError: Otherwise, why the script did not succeed.
    """
    raised: list[Exception] = []

    async def ended(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        try:
            async for data in pieces:
                yield data
        except Exception as error:  # noqa: BLE001 - whatever it is, the script must not take it for the end
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
