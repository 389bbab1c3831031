"""Sessions as JSON, and pages of them."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import QueryParams

from shared.errors import InvalidRequest
from shared.sessions import names
from shared.sessions.model import Session, SessionState
from shared.sessions.ports import Cursor

MAX_PAGE = 200
_DEFAULT_PAGE = 50
_PAGE_SIZE = re.compile(r"[0-9]{1,9}")
_MAX_SHOWN = 100


def session_json(session: Session) -> dict[str, Any]:
    """A session as callers see it. What is not known is left out."""
    values: dict[str, Any] = {
        "id": session.id,
        "name": session.name,
        "owner": session.owner,
        "state": session.state,
        "reason": session.reason,
        "image": session.image,
        "resources": {"cpu": session.resources.cpu, "memory": session.resources.memory},
        "labels": dict(session.labels),
        "cluster": session.cluster,
        "namespace": session.namespace,
        "pod_name": session.pod_name,
        "created_at": _time(session.created_at),
        "ready_at": _time(session.ready_at),
        "last_used_at": _time(session.last_used_at),
        "expires_at": _time(session.expires_at),
        "idle_seconds": session.idle_seconds,
        "deleted_at": _time(session.deleted_at),
        "virtual": session.virtual or None,
    }
    return {key: value for key, value in values.items() if value is not None}


def page_json(sessions: Sequence[Session], after: Cursor | None) -> dict[str, Any]:
    """A page of sessions; ``next_page_token`` is absent on the last one."""
    page: dict[str, Any] = {"sessions": [session_json(session) for session in sessions]}
    if after is not None:
        page["next_page_token"] = page_token(after)
    return page


def page_token(cursor: Cursor) -> str:
    """An opaque token for where a page ended."""
    at = cursor.created_at.astimezone(UTC).isoformat()
    return base64.urlsafe_b64encode(json.dumps([at, cursor.id]).encode()).decode()


def page_query(query: QueryParams) -> tuple[SessionState | None, int, Cursor | None]:
    """Reads ``state``, ``page_size`` and ``page_token``.

    Raises:
        InvalidRequest: One of them is malformed or given twice, or there is another one.
    """
    unknown = set(query) - {"state", "page_size", "page_token"}
    if unknown:
        shown = [name[:_MAX_SHOWN] for name in sorted(unknown)[:10]]
        raise InvalidRequest("unknown query parameter", reason="UNKNOWN_FIELD", parameters=shown)
    for name in query:
        if len(query.getlist(name)) > 1:
            raise InvalidRequest(f"{name} is given more than once", reason="INVALID_FIELD", field=name)
    state = query.get("state")
    if state is not None and state not in list(SessionState):
        raise InvalidRequest(
            f"state is none of {', '.join(SessionState)}", reason="INVALID_FIELD", field="state"
        )
    size = query.get("page_size", str(_DEFAULT_PAGE))
    if not (_PAGE_SIZE.fullmatch(size) and 1 <= int(size) <= MAX_PAGE):
        raise InvalidRequest(f"page_size is not 1 to {MAX_PAGE}", reason="INVALID_FIELD", field="page_size")
    token = query.get("page_token")
    return SessionState(state) if state else None, int(size), _cursor(token) if token else None


def _cursor(token: str) -> Cursor:
    fault = InvalidRequest("page_token is not one of ours", reason="INVALID_FIELD", field="page_token")
    try:
        created_at, session_id = json.loads(base64.urlsafe_b64decode(token))
        cursor = Cursor(datetime.fromisoformat(created_at), session_id)
        # What we never gave out - a time without a zone, an odd id - is nothing for a store.
        ours = names.is_session_id(session_id) and page_token(cursor) == token
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error) as error:
        raise fault from error
    if not ours:
        raise fault
    return cursor


def _time(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None
