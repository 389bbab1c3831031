"""The variables of all groups, for those who describe or check them."""

from __future__ import annotations

import dataclasses
from typing import Any, get_type_hints

from shared.settings.environment import Settings


@dataclasses.dataclass(frozen=True, slots=True)
class Variable:
    """What one variable sets.

    Attributes:
        name: Of the variable.
        kind: The type of its value.
        default: The value where it is absent.
        doc: What it means.
    """

    name: str
    kind: Any
    default: Any
    doc: str


def variables() -> list[Variable]:
    """Every variable once, in the order of the groups, though several groups may have it."""
    found: dict[str, Variable] = {}
    for group in get_type_hints(Settings).values():
        types = get_type_hints(group)
        for name, field in group.fields.items():
            found.setdefault(field.env, Variable(field.env, types[name], field.default, field.doc))
    return list(found.values())
