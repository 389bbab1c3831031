"""Audit records as plain documents; see ``documents`` for what those hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.core.audit.model import AuditRecord
from shared.store import documents
from shared.store.documents import Document


def audit_document(record: AuditRecord) -> Document:
    """The record as a document.

    Text that is no Unicode, e.g. of a file's name, is kept escaped: no store takes it.

    Raises:
        ValueError: The time has no zone, or the id cannot be a document's.
    """
    documents.require_id(record.id)
    return {
        "id": record.id,
        "session_id": record.session_id,
        "at": documents.utc(record.at),
        "actor": _unicode(record.actor),
        "actor_subject": _unicode(record.actor_subject),
        "action": record.action,
        "outcome": _unicode(record.outcome),
        "detail": {
            key: _unicode(value) if isinstance(value, str) else value for key, value in record.detail.items()
        },
    }


def audit_from(document: Mapping[str, Any]) -> AuditRecord:
    """The record that a document holds.

    Raises:
        InternalError: The document is no audit record's (reason ``DOCUMENT_INVALID``).
    """
    try:
        return AuditRecord(
            id=document["id"],
            session_id=document["session_id"],
            at=documents.required_time(document["at"]),
            actor=document["actor"],
            actor_subject=str(document.get("actor_subject", "")),
            action=document["action"],
            outcome=document["outcome"],
            detail=dict(document["detail"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise documents.invalid("audit record") from error


def _unicode(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
