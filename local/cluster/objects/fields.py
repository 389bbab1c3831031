"""Knows the fields of every kind that is served, and finds those that a body has besides or twice.

``fields.json`` has the fields of each type as a real Kubernetes 1.36 lists them in its OpenAPI documents: a
name of a type, ``[]`` before the type of a list's items, ``{}`` before the type of a map's values, or nothing
where no fields are described.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from . import Object

_TYPES: Mapping[str, Mapping[str, str]] = json.loads(Path(__file__).with_name("fields.json").read_bytes())


class Pairs(dict[str, Any]):
    """A JSON object that remembers which of its keys came more than once.

    Args:
        pairs: Keys and values in the order of the text, as the JSON decoder gives them.
    """

    def __init__(self, pairs: Iterable[tuple[str, Any]]) -> None:
        super().__init__()
        self.repeated: set[str] = set()
        for key, value in pairs:
            if key in self:
                self.repeated.add(key)
            self[key] = value


def known_fields(kind: str, body: Object) -> tuple[Object, list[str]]:
    """Return an object without the fields that its kind does not have, and what is wrong with the others.

    Args:
        kind: The kind of the object, which is one of those that are served.
        body: The decoded body.

    Returns:
        The object, and the faults in the words and in the order of a real API server.
    """
    faults: list[str] = []
    kept = _known(kind, body, "", faults)
    assert isinstance(kept, dict)
    return kept, faults


def _known(type_: str, value: Any, path: str, faults: list[str]) -> Any:
    if isinstance(value, list):
        inner = type_.removeprefix("[]")
        return [_known(inner, item, f"{path}[{index}]", faults) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    fields = _TYPES.get(type_)
    inner = type_.removeprefix("{}")
    kept = {}
    for key, item in value.items():
        at = f"{path}.{key}" if path else key
        if isinstance(value, Pairs) and key in value.repeated:
            faults.append(f'duplicate field "{at}"')
        if fields is not None and key not in fields:
            faults.append(f'unknown field "{at}"')
        else:
            kept[key] = _known(inner if fields is None else fields[key], item, at, faults)
    return kept
