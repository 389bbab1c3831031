"""Converts values to plain documents and back, in the same way for all engines.

A document holds only values of the types ``str``, ``int``, ``float``, ``bool``, ``None``, ``datetime`` and
``dict[str, str]``. Firestore takes them as they are. SQLite takes them as JSON, in which a time is an RFC
3339 string. A document may hold fields that this release does not know (a store's own fields, or those of a
newer release), and may lack fields that have a default.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeAlias, get_type_hints

from shared.errors import InternalError
from shared.reasons import Reason

Document: TypeAlias = dict[str, Any]

MAX_ID_BYTES = 1500
_VERSION = "version"


def document_of(value: Any, document_id: str) -> Document:
    """Converts a frozen dataclass to a document with the same field names. The store keeps the version.

    Args:
        value: Its fields hold values that documents hold, enumerations of these, or flat dataclasses.
        document_id: The id under which the document is to be stored.

    Raises:
        ValueError: A time has no zone, or the id cannot be the id of a document.
    """
    require_id(document_id)
    return {
        field.name: _plain(getattr(value, field.name))
        for field in dataclasses.fields(value)
        if field.name != _VERSION
    }


def values_of(kind: type, document: Mapping[str, Any], version: str) -> dict[str, Any]:
    """The arguments of a dataclass, read from a document: times as ``datetime``, the rest as it is stored.

    Args:
        kind: The dataclass.
        document: A result of ``document_of``, with times as ``datetime`` or RFC 3339.
        version: The store's version of the document.

    Raises:
        TypeError: The value of a time's field is no time.
        ValueError: A time is malformed, or has no zone.
    """
    values: dict[str, Any] = {
        name: _time(document[name]) if hint in _TIMES else document[name]
        for name, hint in _hints(kind).items()
        if name in document
    }
    values[_VERSION] = version
    return values


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Turns the errors of a block that reads a document into one that says the document is invalid.

    Raises:
        InternalError: The block could not read the document (reason ``DOCUMENT_INVALID``).
    """
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise invalid(what) from error


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
    """Whether every store can keep a document under this id. No document has any other id.

    Firestore's rules (https://cloud.google.com/firestore/quotas#limits): UTF-8 of at most 1,500 bytes, no
    slash, not ``.`` or ``..``, not ``__.*__``.
    """
    if text in ("", ".", "..") or "/" in text or (text.startswith("__") and text.endswith("__")):
        return False
    try:
        return len(text.encode()) <= MAX_ID_BYTES
    except UnicodeEncodeError:
        return False


def require_id(text: str) -> None:
    """Refuses an id that ``is_document_id`` rejects.

    Raises:
        ValueError: The text cannot be the id of a document.
    """
    if not is_document_id(text):
        raise ValueError(f"{text!r} cannot be a document's id")


def microseconds(time: datetime) -> int:
    """The exact number of microseconds since 1970, which orders and compares like the time itself.

    Raises:
        ValueError: The time has no zone.
    """
    since = utc(time) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return utc(value)
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    return value


def _time(value: object) -> datetime | None:
    return None if value is None else required_time(value)


def required_time(value: object) -> datetime:
    """The time in a field of a document, stored as ``datetime`` or RFC 3339.

    Raises:
        TypeError: The value is no time.
        ValueError: The time is malformed, or has no zone.
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
    """The error for a document that does not hold what it should."""
    return InternalError(f"A stored {what} cannot be read.", reason=Reason.DOCUMENT_INVALID)


@functools.cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)


_TIMES = (datetime, datetime | None)
