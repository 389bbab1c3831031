"""Sessions as JSON, and pages of them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from starlette.datastructures import QueryParams
from starlette.responses import JSONResponse

from shared.core import ids
from shared.core.paging import Cursor
from shared.core.person import Person
from shared.core.sessions.access import EVERYBODY
from shared.core.sessions.idempotency import Created, Creation
from shared.core.sessions.model import Cleanup, Session, SessionState
from shared.core.sessions.new_session import NewSession
from shared.core.sessions.service import SessionService
from shared.core.sessions.update import etag_of
from shared.errors import InvalidRequest
from shared.identity.claims import lowered
from shared.reasons import Reason
from shared.web.http import logs
from shared.web.http.encoding import rfc3339
from shared.web.http.paging import page_of, page_token, single_values

_OWNER = re.compile(r"\*|[!-?A-~]{1,64}@[!-?A-~]{1,255}")


def session_json(session: Session) -> dict[str, Any]:
    """A session as callers see it. Members whose value is not known are left out."""
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
        "created_at": rfc3339(session.created_at),
        "ready_at": rfc3339(session.ready_at),
        "last_used_at": rfc3339(session.last_used_at),
        "expires_at": rfc3339(session.expires_at),
        "idle_seconds": session.idle_seconds,
        "deleted_at": rfc3339(session.deleted_at),
        "cleanup": cleanup_json(session.cleanup),
        "credentials": list(session.credentials),
        "credentials_choice": (
            None if session.credentials_choice is None else list(session.credentials_choice)
        ),
        "virtual": session.virtual or None,
    }
    return {key: value for key, value in values.items() if value is not None}


def abandon(query: QueryParams) -> bool:
    """Reads ``abandon``: whether a session is to end even when its cluster cannot be asked.

    Raises:
        InvalidRequest: It is neither ``true`` nor ``false``, or there is another parameter.
    """
    value = single_values(query, ("abandon",)).get("abandon", "false")
    if value not in ("true", "false"):
        raise InvalidRequest("abandon is true or false", reason=Reason.INVALID_FIELD, field="abandon")
    return value == "true"


def cleanup_json(cleanup: Cleanup | None) -> dict[str, Any] | None:
    """When cleanup acts on a session, and why."""
    return None if cleanup is None else {"at": rfc3339(cleanup.at), "because": cleanup.because}


def session_response(session: Session) -> JSONResponse:
    """A session, with its entity tag; callers can make a change depend on that."""
    return JSONResponse(session_json(session), headers={"ETag": etag_of(session)})


def session_creation(service: SessionService, owner: Person, new: NewSession) -> Creation:
    """What ``POST /v1/sessions`` does: 201 when the session runs, 202 when it is still pending."""

    async def create(session_id: str) -> Created:
        logs.about(session_id)
        session = await service.create(owner, new, session_id)
        return 202 if session.state is SessionState.PENDING else 201, session_json(session)

    return Creation(
        owner=owner,
        operation="session.create",
        seconds=new.wait_seconds,
        new_id=ids.new_session_id,
        create=create,
        repeatable=False,
    )


def page_json(sessions: Sequence[Session], after: Cursor | None) -> dict[str, Any]:
    """A page of sessions; ``next_page_token`` is absent on the last one."""
    page: dict[str, Any] = {"sessions": [session_json(session) for session in sessions]}
    if after is not None:
        page["next_page_token"] = page_token(after)
    return page


@dataclasses.dataclass(frozen=True, slots=True)
class Listing:
    """Which sessions are asked for: whose, in which state, and which page of them."""

    owner: str
    state: SessionState | None
    limit: int
    after: Cursor | None


def listing_of(query: QueryParams, caller: Person) -> Listing:
    """Reads ``owner``, ``state``, ``page_size`` and ``page_token``.

    Args:
        query: The request's query.
        caller: The caller, whose sessions are meant when the query names no owner.

    Raises:
        InvalidRequest: One of them is malformed or given twice, or there is another parameter.
    """
    values = single_values(query, ("owner", "state", "page_size", "page_token"))
    named = values.get("owner")
    if named is not None and not _OWNER.fullmatch(named):
        raise InvalidRequest(
            f"owner is neither an e-mail address nor {EVERYBODY}", reason=Reason.INVALID_FIELD, field="owner"
        )
    owner = caller.email if named is None else lowered(named)
    state = values.get("state")
    if state is not None and state not in list(SessionState):
        raise InvalidRequest(
            f"state is none of {', '.join(SessionState)}", reason=Reason.INVALID_FIELD, field="state"
        )
    page = page_of(values, ids.is_session_id)
    return Listing(owner, SessionState(state) if state else None, page.size, page.after)
