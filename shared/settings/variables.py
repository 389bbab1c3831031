"""The variables of all groups, for code that documents or checks them."""

from __future__ import annotations

import dataclasses
from typing import Any, get_type_hints

from shared.settings.environment import Settings


@dataclasses.dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable and what it sets.

    Attributes:
        name: Name of the variable.
        kind: The type of its value.
        default: The value when the variable is absent.
        doc: What the value means.
    """

    name: str
    kind: Any
    default: Any
    doc: str


def variables() -> list[Variable]:
    """Every variable, in the order of the groups. A variable of several groups comes once."""
    found: dict[str, Variable] = {}
    for group in get_type_hints(Settings).values():
        types = get_type_hints(group)
        for name, field in group.fields.items():
            found.setdefault(field.env, Variable(field.env, types[name], field.default, field.doc))
    return list(found.values())
