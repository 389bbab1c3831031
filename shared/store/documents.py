"""Sessions, jobs and idempotency records as plain documents: one codec for all stores.

A document holds ``str``, ``int``, ``float``, ``bool``, ``None``, ``datetime`` and
``dict[str, str]`` values only. Firestore takes them as they are; SQLite takes them as JSON, in which a time
is an RFC 3339 string. A document may hold more fields than we know (a store's own, or
those of a newer release), and may lack those that have a default.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias, get_type_hints

from shared.core.jobs.model import Job, JobState
from shared.core.sessions.model import Resources, Session, SessionState
from shared.core.sessions.ports import RequestRecord
from shared.errors import InternalError
from shared.reasons import Reason

Document: TypeAlias = dict[str, Any]

MAX_ID_BYTES = 1500
_VERSION = "version"


def session_document(session: Session) -> Document:
    """The session as a document; its version is the store's and not in it.

    Raises:
        ValueError: A time has no zone, or the id cannot be a document's.
    """
    return {
        **_document(session, session.id),
        "credentials": " ".join(session.credentials),
        "credentials_choice": (
            None if session.credentials_choice is None else " ".join(session.credentials_choice)
        ),
        # As text: Firestore refuses some names of variables as names of fields.
        "env": json.dumps(dict(session.env), ensure_ascii=False),
        # What queries go by, and the session itself derives.
        "check_at": None if session.check_at is None else utc(session.check_at),
        "on_cluster": session.on_cluster,
    }


def session_from(document: Mapping[str, Any], version: str) -> Session:
    """The session that a document holds.

    Args:
        document: What ``session_document`` gave, times as ``datetime`` or RFC 3339.
        version: The store's version of the document.

    Raises:
        InternalError: The document is not a session's (reason ``DOCUMENT_INVALID``).
    """
    try:
        values = _values(Session, document, version)
        values["state"] = SessionState(values["state"])
        values["resources"] = Resources(**values["resources"])
        values["labels"] = dict(values["labels"])
        values["credentials"] = tuple(str.split(values.get("credentials", "")))
        choice = values.get("credentials_choice")
        values["credentials_choice"] = None if choice is None else tuple(str.split(choice))
        values["env"] = dict(json.loads(values.get("env", "{}")))
        return Session(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise invalid("session") from error


def job_document(job: Job) -> Document:
    """The job as a document; its version is the store's and not in it.

    Raises:
        ValueError: A time has no zone, or the id cannot be a document's.
    """
    return {**_document(job, job.id), "command": json.dumps(job.command, ensure_ascii=False)}


def job_from(document: Mapping[str, Any], version: str) -> Job:
    """The job that a document holds; see ``session_from``."""
    try:
        values = _values(Job, document, version)
        values["state"] = JobState(values["state"])
        command = json.loads(values["command"])
        values["command"] = command if isinstance(command, str) else tuple(command)
        return Job(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise invalid("job") from error


def request_document(record: RequestRecord) -> Document:
    """The idempotency record as a document; its version is the store's and not in it.

    Raises:
        ValueError: A time has no zone, or the key cannot be a document's id.
    """
    return _document(record, record.key)


def request_from(document: Mapping[str, Any], version: str) -> RequestRecord:
    """The idempotency record that a document holds; see ``session_from``."""
    try:
        return RequestRecord(**_values(RequestRecord, document, version))
    except (KeyError, TypeError, ValueError) as error:
        raise invalid("request record") from error


def to_json(document: Document) -> str:
    """The document as JSON text, times as RFC 3339 strings."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=datetime.isoformat)


def from_json(text: str) -> Mapping[str, Any]:
    """The document that ``to_json`` wrote.

    Raises:
        InternalError: The text is not a document (reason ``DOCUMENT_INVALID``).
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise invalid("document") from error
    if not isinstance(document, dict):
        raise invalid("document")
    return document


def is_document_id(text: str) -> bool:
    """Whether every store can keep a document under this id. What is none does not exist.

    Firestore's rules (https://cloud.google.com/firestore/quotas#limits): UTF-8 of at
    most 1,500 bytes, no slash, not ``.`` or ``..``, not ``__.*__``.
    """
    if text in ("", ".", "..") or "/" in text or (text.startswith("__") and text.endswith("__")):
        return False
    try:
        return len(text.encode()) <= MAX_ID_BYTES
    except UnicodeEncodeError:
        return False


def require_id(text: str) -> None:
    """Refuses what ``is_document_id`` refuses.

    Raises:
        ValueError: The text cannot be a document's id.
    """
    if not is_document_id(text):
        raise ValueError(f"{text!r} cannot be a document's id")


def microseconds(time: datetime) -> int:
    """Microseconds since 1970, exact: what orders and compares like the time itself.

    Raises:
        ValueError: The time has no zone.
    """
    since = utc(time) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _document(value: Session | Job | RequestRecord, document_id: str) -> Document:
    require_id(document_id)
    return {
        field.name: _plain(getattr(value, field.name))
        for field in dataclasses.fields(value)
        if field.name != _VERSION
    }


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return utc(value)
    if isinstance(value, SessionState | JobState):
        return value.value
    if isinstance(value, Resources):
        return dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    return value


def _values(
    kind: type[Session | Job | RequestRecord], document: Mapping[str, Any], version: str
) -> dict[str, Any]:
    hints = _HINTS[kind]
    values: dict[str, Any] = {
        name: _time(document[name]) if hint in _TIMES else document[name]
        for name, hint in hints.items()
        if name in document
    }
    values[_VERSION] = version
    return values


def _time(value: object) -> datetime | None:
    return None if value is None else required_time(value)


def required_time(value: object) -> datetime:
    """The time that a document holds, as ``datetime`` or RFC 3339.

    Raises:
        TypeError: It is none.
        ValueError: It is malformed, or has no zone.
    """
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        raise TypeError("not a time")
    return utc(value)


def utc(time: datetime) -> datetime:
    """The same moment in UTC.

    Raises:
        ValueError: The time has no zone.
    """
    if time.utcoffset() is None:
        raise ValueError(f"{time!r} has no time zone")
    return time.astimezone(UTC)


def invalid(what: str) -> InternalError:
    """That a document is not what it should be."""
    return InternalError(f"A stored {what} cannot be read.", reason=Reason.DOCUMENT_INVALID)


LISTED = (*(name for name in get_type_hints(Session) if name not in ("env", _VERSION)), "check_at")
"""The fields of a session's document that lists read: its variables may be long, and are secrets."""

_TIMES = (datetime, datetime | None)
_HINTS: Mapping[type, Mapping[str, Any]] = {
    kind: get_type_hints(kind) for kind in (Session, Job, RequestRecord)
}
