"""A group of settings, and a field of it: the variable that it is read from, its default and its meaning.

A group is what a frozen dataclass with keyword arguments is, also to a type checker. But its class is made
without compiling code: fourteen dataclasses would add ten milliseconds to the start of every instance. And it
has no ``repr`` that could show a kubeconfig.

A variable that several groups need is defined here once, and each of them says that it has it.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal, TypeVar, cast, dataclass_transform

StoreKind = Literal["sqlite", "firestore"]

_T = TypeVar("_T")


class Setting:
    """What a field of a group says.

    Attributes:
        env: The variable.
        default: The value where the variable is absent or empty.
        doc: What it means, for the table in README.md.
    """

    __slots__ = ("default", "doc", "env")

    def __init__(self, env: str, default: Any, doc: str) -> None:
        self.env, self.default, self.doc = env, default, doc


def setting(env: str, *, default: _T, doc: str) -> _T:
    """A field that is read from a variable; arguments as in ``Setting``."""
    return cast("_T", Setting(env, default, doc))  # the group puts a value in its place


# These are no field specifiers: to a type checker, a field that is one of them has it as its default.
CLOUD_RUN_SERVICE = setting("K_SERVICE", default="", doc="Set by Cloud Run: the service's name")
GOOGLE_CLOUD_PROJECT = setting(
    "GOOGLE_CLOUD_PROJECT",
    default="",
    doc="Project of Firestore and of the cluster; empty: the credentials' own",
)
SESSION_STORE: StoreKind = setting(
    "SESSION_STORE",
    default="firestore",
    doc="Where sessions are kept: `firestore` or `sqlite`",
)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(setting,))
class Group:
    """A frozen group of settings that has been checked.

    Raises:
        ConfigurationError: A value is not allowed, or not together with another; names the variable.
    """

    fields: ClassVar[dict[str, Setting]]

    def __init_subclass__(cls) -> None:
        cls.fields = {name: value for name, value in vars(cls).items() if isinstance(value, Setting)}

    def __init__(self, **values: Any) -> None:
        if unknown := values.keys() - self.fields.keys():
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
        for name, field in self.fields.items():
            object.__setattr__(self, name, values.get(name, field.default))
        self.check()

    def check(self) -> None:
        """Refuses values that break a rule of the group."""

    def __setattr__(self, name: str, value: object) -> None:
        raise dataclasses.FrozenInstanceError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(tuple(vars(self).values()))
