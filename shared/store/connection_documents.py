"""Connections to clusters as plain documents; see ``documents`` for what those hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.core.clusters.model import ClusterIdentity, KnownConnection
from shared.store import documents
from shared.store.documents import Document


def connection_document(connection: KnownConnection) -> Document:
    """The connection as a document; its version is the store's and not in it.

    Raises:
        ValueError: The time has no zone, or the id cannot be a document's.
    """
    documents.require_id(connection.id)
    return {
        "id": connection.id,
        "cluster": connection.cluster,
        # One line each: uids hold no spaces.
        "met": "\n".join(f"{one.kube_system} {one.namespace}" for one in connection.met),
        "met_at": documents.utc(connection.met_at),
    }


def connection_from(document: Mapping[str, Any], version: str) -> KnownConnection:
    """The connection that a document holds.

    Raises:
        InternalError: The document is no connection's (reason ``DOCUMENT_INVALID``).
    """
    try:
        met = [line.split(" ") for line in str.splitlines(document["met"])]
        return KnownConnection(
            id=document["id"],
            cluster=document["cluster"],
            met=tuple(ClusterIdentity(kube_system=first, namespace=second) for first, second in met),
            met_at=documents.required_time(document["met_at"]),
            version=version,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise documents.invalid("connection") from error
