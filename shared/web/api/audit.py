"""Audit records as JSON, and pages of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.datastructures import QueryParams

from shared.core import ids
from shared.core.audit.model import AuditRecord
from shared.core.paging import Cursor
from shared.web.http.encoding import rfc3339
from shared.web.http.paging import Page, page_of, page_token, single_values


def record_json(record: AuditRecord) -> dict[str, Any]:
    """A record as its readers see it."""
    subject = {"actor_subject": record.actor_subject} if record.actor_subject else {}
    return {
        "id": record.id,
        "at": rfc3339(record.at),
        "actor": record.actor,
        **subject,
        "action": record.action,
        "session_id": record.session_id,
        "outcome": record.outcome,
        "detail": {key: value for key, value in record.detail.items() if value is not None},
    }


def audit_json(records: Sequence[AuditRecord], after: Cursor | None) -> dict[str, Any]:
    """A page of records; ``next_page_token`` is absent on the last one."""
    page: dict[str, Any] = {"records": [record_json(record) for record in records]}
    if after is not None:
        page["next_page_token"] = page_token(after)
    return page


def audit_query(query: QueryParams) -> Page:
    """Reads ``page_size`` and ``page_token``.

    Raises:
        InvalidRequest: One of them is malformed or given twice, or there is another parameter.
    """
    return page_of(single_values(query, ("page_size", "page_token")), ids.is_record_id)
