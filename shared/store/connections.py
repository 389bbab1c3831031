"""Connections to clusters as documents, and the repository that keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.core.clusters.model import ClusterIdentity, KnownConnection
from shared.errors import VersionConflict
from shared.store import documents
from shared.store.documents import Document
from shared.store.engine import Collection, Engine
from shared.store.repository import Present, Repository

CONNECTIONS = Collection(name="connections", unindexed=("met",))


class Connections:
    """A ``ConnectionStore``.

    Args:
        engine: Keeps the documents.
    """

    def __init__(self, engine: Engine) -> None:
        self._connections = Repository(
            engine,
            CONNECTIONS,
            "connection",
            id_of=lambda connection: connection.id,
            document=connection_document,
            read=connection_from,
        )

    async def get(self, connection_id: str) -> KnownConnection | None:
        """See ``ConnectionStore.get``."""
        return await self._connections.get(connection_id)

    async def put(self, connection: KnownConnection) -> KnownConnection:
        """See ``ConnectionStore.put``."""
        if connection.version:
            return await self._connections.update(connection)
        try:
            return await self._connections.create(connection)
        except Present:
            raise VersionConflict("The connection's document was changed meanwhile.") from None


def connection_document(connection: KnownConnection) -> Document:
    """The connection as a document; see ``documents.document_of``.

    Raises:
        ValueError: As ``document_of``, or a uid holds white space.
    """
    if any(character.isspace() for one in connection.met for character in one.kube_system + one.namespace):
        raise ValueError("a uid holds white space")
    # One line for each identity; a space separates its two uids.
    met = "\n".join(f"{one.kube_system} {one.namespace}" for one in connection.met)
    others = " ".join(connection.other_installations)
    return {**documents.document_of(connection, connection.id), "met": met, "other_installations": others}


def connection_from(document: Mapping[str, Any], version: str) -> KnownConnection:
    """The connection that a document of this version holds.

    Raises:
        InternalError: The document holds no connection (reason ``DOCUMENT_INVALID``).
    """
    with documents.reading("connection"):
        values = documents.values_of(KnownConnection, document, version)
        met = [line.split(" ") for line in str.splitlines(values["met"])]
        values["met"] = tuple(ClusterIdentity(kube_system=first, namespace=second) for first, second in met)
        values["met_at"] = documents.required_time(values["met_at"])
        values["other_installations"] = tuple(str.split(values.get("other_installations", "")))
        return KnownConnection(**values)
