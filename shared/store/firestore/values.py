"""Translates documents and versions to Firestore's protocol buffers and back.

Types: https://cloud.google.com/firestore/docs/reference/rpc/google.firestore.v1#value.
Times are converted as whole seconds and nanoseconds, never through a float, which would lose digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from google.cloud.firestore_v1 import types
from google.protobuf.struct_pb2 import NULL_VALUE
from google.protobuf.timestamp_pb2 import Timestamp

from shared.store.documents import Document, microseconds

_KINDS = {bool: "boolean_value", int: "integer_value", float: "double_value", str: "string_value"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_fields(document: Mapping[str, Any]) -> dict[str, types.Value]:
    """The fields of one of our documents in Firestore's form."""
    return {name: to_value(value) for name, value in document.items()}


def to_value(value: object) -> types.Value:
    """One value of a document in Firestore's form.

    Raises:
        TypeError: Documents hold no values of this type.
    """
    match value:
        case None:
            return types.Value(null_value=NULL_VALUE)
        case bool() | int() | float() | str():
            return types.Value(**{_KINDS[type(value)]: value})
        case datetime():
            seconds, rest = divmod(microseconds(value), 1_000_000)
            return types.Value(timestamp_value=Timestamp(seconds=seconds, nanos=rest * 1000))
        case Mapping():
            return types.Value(map_value=types.MapValue(fields=to_fields(value)))
        case _:
            raise TypeError(f"documents hold no {type(value).__name__}")


def from_document(found: types.Document) -> tuple[Document, str]:
    """Our form of a Firestore document, and its version."""
    message = types.Document.pb(found)
    return _from_fields(message.fields), version_of(message.update_time)


def version_of(update_time: Timestamp) -> str:
    """The version of a document with this update time: the time as RFC 3339, with its nanoseconds."""
    return str(update_time.ToJsonString())


def timestamp_of(version: str) -> Timestamp:
    """The update time from which ``version_of`` made the version.

    Raises:
        ValueError: The text is no version of this store.
    """
    timestamp = Timestamp()
    timestamp.FromJsonString(version)
    return timestamp


def _from_fields(fields: Mapping[str, Any]) -> Document:
    return {name: _from_value(value) for name, value in fields.items()}


def _from_value(value: Any) -> Any:
    kind = value.WhichOneof("value_type")
    if kind == "timestamp_value":
        time = value.timestamp_value
        return _EPOCH + timedelta(seconds=time.seconds, microseconds=time.nanos // 1000)
    if kind == "map_value":
        return _from_fields(value.map_value.fields)
    return None if kind == "null_value" else getattr(value, kind)
