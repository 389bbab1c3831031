"""The connection between the node and the API server, which can be lost."""

import asyncio


class Link:
    """Says whether the node and the API server hear of each other."""

    def __init__(self) -> None:
        self._up = asyncio.Event()
        self._up.set()

    @property
    def up(self) -> bool:
        """Whether there is a connection."""
        return self._up.is_set()

    def cut(self) -> None:
        """Lose the connection."""
        self._up.clear()

    def restore(self) -> None:
        """Have the connection again."""
        self._up.set()

    async def wait(self) -> None:
        """Wait until there is a connection."""
        await self._up.wait()
