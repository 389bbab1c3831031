"""A group of settings, and its fields. A field has the variable it is read from, a default and a meaning.

A group behaves like a frozen dataclass with keyword arguments, also to a type checker. But its class is made
without compiling code: fourteen dataclasses would add ten milliseconds to the start of every instance. And a
group has no ``repr`` that could show a kubeconfig.

A variable that several groups need is defined once, here, and each of these groups has it as a field.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal, TypeVar, cast, dataclass_transform

StoreKind = Literal["sqlite", "firestore"]

_T = TypeVar("_T")


class Setting:
    """A field of a group.

    Attributes:
        env: Name of the variable.
        default: The value when the variable is absent or empty.
        doc: What the value means, for the table in README.md.
    """

    __slots__ = ("default", "doc", "env")

    def __init__(self, env: str, default: Any, doc: str) -> None:
        self.env, self.default, self.doc = env, default, doc


def setting(env: str, *, default: _T, doc: str) -> _T:
    """A field that is read from an environment variable; the arguments are those of ``Setting``."""
    return cast("_T", Setting(env, default, doc))  # the group replaces it by a value


# To a type checker these are no field specifiers: it sees each as the default of the fields that use it.
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
    """A frozen group of settings, checked when it is made.

    Raises:
        ConfigurationError: A value is not allowed, alone or together with another value; names the variable.
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
        """Raises ``ConfigurationError`` when the values break a rule of the group."""

    def __setattr__(self, name: str, value: object) -> None:
        raise dataclasses.FrozenInstanceError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(tuple(vars(self).values()))
