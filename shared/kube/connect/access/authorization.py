"""Credentials that are at hand: fixed values, and tokens that another program keeps in a file."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from pathlib import Path

from shared.errors import ConnectionFailed
from shared.kube.connect.access.renewal import Lease, Renewal
from shared.reasons import Reason

_MAX_TOKEN_BYTES = 64 * 1024
_REREAD_SECONDS = 60.0


class FixedAuthorization:
    """An Authorization header that never changes.

    Args:
        value: Value of the header; None: none is sent, because a client certificate suffices or the
            server asks for nothing.
    """

    def __init__(self, value: str | None = None) -> None:
        self._value = value

    @classmethod
    def bearer(cls, token: str) -> FixedAuthorization:
        """A bearer token (RFC 6750)."""
        return cls(f"Bearer {token}")

    @classmethod
    def basic(cls, username: str, password: str) -> FixedAuthorization:
        """Name and password (RFC 7617)."""
        return cls("Basic " + base64.b64encode(f"{username}:{password}".encode()).decode())

    async def authorization(self, *, refresh: bool = False) -> str | None:
        """The value, also when it was refused: there is no other one to get."""
        del refresh
        return self._value


class TokenFile:
    """A bearer token in a file that another program renews, as the kubelet does.

    The file is read again every minute, as client-go does, and when the server refused the
    token. As long as the last token was not refused, it serves even if the file cannot be read.

    Args:
        path: The file.
        where: Which file this is, in words for people.
        now: The time of day, in seconds since the epoch.
    """

    def __init__(self, path: Path, *, where: str, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._where = where
        self._now = now
        self._token = Renewal(self._fetch, what=where, now=now)

    async def authorization(self, *, refresh: bool = False) -> str | None:
        """The token as it stood in the file at most a minute ago.

        Raises:
            ConnectionFailed: The file cannot be read, is empty or holds no token.
        """
        return "Bearer " + await self._token.get(refused=refresh)

    async def _fetch(self) -> Lease[str]:
        token = await asyncio.to_thread(self._read)
        return Lease(value=token, renew_at=self._now() + _REREAD_SECONDS)

    def _read(self) -> str:
        try:
            with self._path.open("rb") as file:
                content = file.read(_MAX_TOKEN_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no valid path"
            raise self._failed(f"cannot be read ({reason}); check the path and its permissions") from error
        token = content.decode("ascii", errors="replace").strip()
        if not token or len(content) > _MAX_TOKEN_BYTES or not is_token(token):
            raise self._failed("holds no bearer token; write the token and nothing else into it")
        return token

    def _failed(self, problem: str) -> ConnectionFailed:
        return ConnectionFailed(
            f"{self._where} {problem}", reason=Reason.TOKEN_FILE_UNREADABLE, token_file=str(self._path)
        )


def is_token(text: str) -> bool:
    """Whether the text can stand in a header: printable ASCII without blanks."""
    return bool(text) and all("!" <= char <= "~" for char in text)
