"""The documents of connections in the file of the SQLite store."""

from __future__ import annotations

import dataclasses
import secrets

from shared.core.clusters.model import KnownConnection
from shared.errors import VersionConflict
from shared.store import documents
from shared.store.connection_documents import connection_document, connection_from
from shared.store.sqlite.file import SqliteFile

_GET = "SELECT document, version FROM connections WHERE id = ?"
_INSERT = """INSERT INTO connections (version, document, id) VALUES (?, ?, ?)
    ON CONFLICT (id) DO NOTHING RETURNING 1"""
_UPDATE = "UPDATE connections SET version = ?, document = ? WHERE id = ? AND version = ? RETURNING 1"


class SqliteConnections:
    """A ``ConnectionStore``.

    Args:
        file: The store's.
    """

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    async def get(self, connection_id: str) -> KnownConnection | None:
        """See ``ConnectionStore.get``."""
        if not documents.is_document_id(connection_id):
            return None
        for document, version in await self._file.rows(_GET, (connection_id,)):
            return connection_from(documents.from_json(document), version)
        return None

    async def put(self, connection: KnownConnection) -> KnownConnection:
        """See ``ConnectionStore.put``."""
        version = secrets.token_hex(8)
        values = (version, documents.to_json(connection_document(connection)), connection.id)
        if connection.version:
            done = await self._file.rows(_UPDATE, (*values, connection.version))
        else:
            done = await self._file.rows(_INSERT, values)
        if not done:
            raise VersionConflict("The connection's document was changed meanwhile.")
        return dataclasses.replace(connection, version=version)
