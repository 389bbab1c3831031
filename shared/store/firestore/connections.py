"""The documents of connections in Firestore: collection ``connections``, by their ids."""

from __future__ import annotations

import dataclasses

from shared.core.clusters.model import KnownConnection
from shared.errors import VersionConflict
from shared.store import documents
from shared.store.connection_documents import connection_document, connection_from
from shared.store.firestore.documents import ABSENT, FirestoreDocuments, unchanged

CONNECTIONS = "connections"


class FirestoreConnections:
    """A ``ConnectionStore``.

    Args:
        documents: Of the store's database.
    """

    def __init__(self, documents: FirestoreDocuments) -> None:
        self._documents = documents

    async def get(self, connection_id: str) -> KnownConnection | None:
        """See ``ConnectionStore.get``."""
        if not documents.is_document_id(connection_id):
            return None
        found = await self._documents.read(CONNECTIONS, connection_id)
        return None if found is None else connection_from(*found)

    async def put(self, connection: KnownConnection) -> KnownConnection:
        """See ``ConnectionStore.put``."""
        precondition = unchanged(connection.version) if connection.version else ABSENT
        if precondition is None:
            raise VersionConflict("The connection's document was changed meanwhile.")
        document = connection_document(connection)
        answer = await self._documents.write(CONNECTIONS, connection.id, document, precondition)
        if answer.version is None:
            raise VersionConflict("The connection's document was changed meanwhile.")
        return dataclasses.replace(connection, version=answer.version)
