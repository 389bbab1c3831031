"""Decodes the few kinds of objects that kubectl 1.32 and later send only as protobuf.

The envelope is ``k8s\\0`` and a ``runtime.Unknown``; field numbers are those of the ``generated.proto`` files
in k8s.io/api. Answers are always JSON, which the same clients accept.
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from . import Object

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\0"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class _Map:
    value: Any


@dataclass(frozen=True, slots=True)
class _Many:
    item: Any


# The types: str, bytes, int, bool; a message, by its fields; a map; a repeated field.
_Fields: TypeAlias = Mapping[int, tuple[str, Any]]

_STRINGS = _Many(str)
_QUANTITY: _Fields = {1: ("string", str)}
_METADATA: _Fields = {
    1: ("name", str),
    2: ("generateName", str),
    3: ("namespace", str),
    5: ("uid", str),
    6: ("resourceVersion", str),
    11: ("labels", _Map(str)),
    12: ("annotations", _Map(str)),
    14: ("finalizers", _STRINGS),
}
_RULE: _Fields = {
    1: ("verbs", _STRINGS),
    2: ("apiGroups", _STRINGS),
    3: ("resources", _STRINGS),
    4: ("resourceNames", _STRINGS),
    5: ("nonResourceURLs", _STRINGS),
}
_SUBJECT: _Fields = {1: ("kind", str), 2: ("apiGroup", str), 3: ("name", str), 4: ("namespace", str)}
_ROLE_REF: _Fields = {1: ("apiGroup", str), 2: ("kind", str), 3: ("name", str)}
_RESOURCE_ATTRIBUTES: _Fields = {
    number: (name, str)
    for number, name in enumerate(
        ("namespace", "verb", "group", "version", "resource", "subresource", "name"), start=1
    )
}
_REVIEW_SPEC: _Fields = {
    1: ("resourceAttributes", _RESOURCE_ATTRIBUTES),
    2: ("nonResourceAttributes", {1: ("path", str), 2: ("verb", str)}),
}
_ROLE: _Fields = {1: ("metadata", _METADATA), 2: ("rules", _Many(_RULE))}
_BINDING: _Fields = {
    1: ("metadata", _METADATA),
    2: ("subjects", _Many(_SUBJECT)),
    3: ("roleRef", _ROLE_REF),
}
_TOKEN_SPEC: _Fields = {
    1: ("audiences", _STRINGS),
    3: ("boundObjectRef", {1: ("kind", str), 2: ("apiVersion", str), 3: ("name", str), 4: ("uid", str)}),
    4: ("expirationSeconds", int),
}
_KINDS: Mapping[str, _Fields] = {
    "Namespace": {1: ("metadata", _METADATA)},
    "Secret": {
        1: ("metadata", _METADATA),
        2: ("data", _Map(bytes)),
        3: ("type", str),
        4: ("stringData", _Map(str)),
        5: ("immutable", bool),
    },
    "ConfigMap": {
        1: ("metadata", _METADATA),
        2: ("data", _Map(str)),
        3: ("binaryData", _Map(bytes)),
        4: ("immutable", bool),
    },
    "ServiceAccount": {1: ("metadata", _METADATA)},
    "ResourceQuota": {
        1: ("metadata", _METADATA),
        2: ("spec", {1: ("hard", _Map(_QUANTITY)), 2: ("scopes", _STRINGS)}),
    },
    "PriorityClass": {
        1: ("metadata", _METADATA),
        2: ("value", int),
        3: ("globalDefault", bool),
        4: ("description", str),
        5: ("preemptionPolicy", str),
    },
    "Role": _ROLE,
    "ClusterRole": _ROLE,
    "RoleBinding": _BINDING,
    "ClusterRoleBinding": _BINDING,
    "SelfSubjectAccessReview": {1: ("metadata", _METADATA), 2: ("spec", _REVIEW_SPEC)},
    "SelfSubjectRulesReview": {1: ("metadata", _METADATA), 2: ("spec", {1: ("namespace", str)})},
    "SelfSubjectReview": {1: ("metadata", _METADATA)},
    "TokenRequest": {1: ("metadata", _METADATA), 2: ("spec", _TOKEN_SPEC)},
}
_ENVELOPE: _Fields = {1: ("typeMeta", {1: ("apiVersion", str), 2: ("kind", str)}), 2: ("raw", bytes)}


class UnsupportedKindError(Exception):
    """There is no field table for objects of this kind."""


def decode_protobuf(body: bytes) -> Object:
    """Return the object in a protobuf body, in the form of its JSON.

    Raises:
        UnsupportedKindError: There is no field table for its kind.
        ValueError: The body is malformed.
    """
    if not body.startswith(_MAGIC):
        raise ValueError("no Kubernetes protobuf")
    envelope = _message(body[len(_MAGIC) :], _ENVELOPE)
    head = envelope.get("typeMeta", {})
    fields = _KINDS.get(head.get("kind", ""))
    if fields is None:
        raise UnsupportedKindError(head.get("kind", ""))
    return {**head, **_message(base64.b64decode(envelope.get("raw", "")), fields)}


def _message(data: bytes, fields: _Fields) -> Object:
    decoded: Object = {}
    for number, value in _entries(data):
        name, kind = fields.get(number, ("", None))
        if kind is None:
            continue
        if isinstance(kind, _Map):
            pair = _message(_as_bytes(value), {1: ("key", str), 2: ("value", kind.value)})
            item = pair.get("value", "")
            text = item.get("string", "") if isinstance(item, dict) else item
            decoded.setdefault(name, {})[pair.get("key", "")] = text
        elif isinstance(kind, _Many):
            decoded.setdefault(name, []).append(_value(value, kind.item))
        elif (single := _value(value, kind)) not in ("", {}):
            # Go writes empty fields; JSON leaves them out.
            decoded[name] = single
    return decoded


def _value(value: int | bytes, kind: Any) -> Any:
    if kind in (int, bool):
        if isinstance(value, bytes):
            raise ValueError("a number is not a varint")
        return bool(value) if kind is bool else value - (1 << 64) if value >> 63 else value
    data = _as_bytes(value)
    if kind is str:
        return data.decode()
    return base64.b64encode(data).decode() if kind is bytes else _message(data, kind)


def _as_bytes(value: int | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    raise ValueError("a field has the wrong wire type")


def _entries(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield field numbers with their raw values."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if wire == _BYTES:
            length, at = _varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"unknown wire type {wire}")
        if at + length > len(data):
            raise ValueError("a field is longer than its message")
        yield tag >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("the message ends in a number")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & ((1 << 64) - 1), at
    raise ValueError("a number is too long")
