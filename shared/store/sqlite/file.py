"""The file of the SQLite engine: opens it, and runs one statement at a time.

The write-ahead log lets other processes read while one writes (https://www.sqlite.org/wal.html).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import aiosqlite

from shared.errors import StoreUnavailable
from shared.reasons import Reason
from shared.store.sqlite.upgrade import RELEASES, upgrade

BUSY_TIMEOUT_SECONDS = 5.0
"""How long a statement waits for another process to finish a write."""


class SqliteFile:
    """A SQLite file. The first statement opens it.

    Args:
        path: The file. It and its folders are created; only its owner can read it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opening = asyncio.Lock()
        self._connection: aiosqlite.Connection | None = None
        self._closed = False

    async def rows(self, sql: str, parameters: Any) -> Sequence[sqlite3.Row]:
        """Runs one statement.

        Raises:
            StoreUnavailable: The file cannot be used.
        """
        with _translated():
            connection = await self._connected()
            # The thread of the connection does this as one job, so that no other task's statement comes
            # between.
            return list(await connection.execute_fetchall(sql, parameters))

    async def close(self) -> None:
        """Closes the file; may be called again."""
        self._closed = True
        async with self._opening:
            connection, self._connection = self._connection, None
            if connection is not None:
                with _translated():
                    await connection.close()

    async def _connected(self) -> aiosqlite.Connection:
        async with self._opening:
            if self._closed:
                raise StoreUnavailable("The session store is closed.")
            if self._connection is None:
                self._connection = await _open(self._path)
            return self._connection


async def _open(path: Path) -> aiosqlite.Connection:
    await asyncio.to_thread(_make_file, path)
    connection = await _unopened(path)
    try:
        await _use_write_ahead_log(connection)
        await connection.execute_fetchall("PRAGMA synchronous = NORMAL")
        await _bring_up_to_date(connection)
    except BaseException:
        await connection.close()
        raise
    return connection


def _unopened(path: Path) -> aiosqlite.Connection:
    """A connection whose thread does not keep alive a process that ends without ``close``.

    A thread is a daemon if the thread that makes it is a daemon; aiosqlite has no setting for this.
    """
    made: list[aiosqlite.Connection] = []

    def make() -> None:
        made.append(aiosqlite.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS))

    maker = threading.Thread(target=make, daemon=True)
    maker.start()
    maker.join()
    return made[0]


def _make_file(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # SQLite gives its log files, which are beside this file, the same mode.
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


async def _use_write_ahead_log(connection: aiosqlite.Connection) -> None:
    """Sets the journal mode. The busy timeout does not cover this statement: SQLite may refuse it at once."""
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            await connection.execute_fetchall("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.02)


async def _bring_up_to_date(connection: aiosqlite.Connection) -> None:
    """Upgrades a file of an earlier release. If several processes try at once, one of them upgrades it."""
    if await _user_version(connection) == RELEASES:
        return
    await connection.execute_fetchall("BEGIN IMMEDIATE")
    found = await _user_version(connection)
    if found > RELEASES:
        raise StoreUnavailable(
            "The file at SQLITE_PATH was made by a newer release.", reason=Reason.STORE_TOO_NEW
        )
    if found < RELEASES:  # another process may have upgraded it already
        await upgrade(connection, found)
    await connection.execute_fetchall(f"PRAGMA user_version = {RELEASES}")
    await connection.execute_fetchall("COMMIT")


async def _user_version(connection: aiosqlite.Connection) -> int:
    (row,) = await connection.execute_fetchall("PRAGMA user_version")
    return int(row[0])


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        # It is safe to show SQLite's message, which names no path: "database is locked", "file is not a
        # database".
        raise StoreUnavailable(f"The session store at SQLITE_PATH cannot be used: {error}.") from error
    except OSError as error:
        problem = os.strerror(error.errno) if error.errno else "it cannot be opened"
        raise StoreUnavailable(f"The session store at SQLITE_PATH cannot be used: {problem}.") from error
