"""Reads YAML with the types that a kubeconfig's fields must have.

An error names the file and the place, never the text there, which may be a secret.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import yaml

from shared.errors import ConnectionFailed
from shared.reasons import Reason


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """Where an entry comes from.

    Attributes:
        label: The file's path, or the name of the setting that held it, for messages.
        folder: The folder from which relative paths start; None when there is no file.
    """

    label: str
    folder: Path | None


def invalid(origin: Origin, problem: str) -> ConnectionFailed:
    """The error for a file that breaks a rule."""
    return ConnectionFailed(f"{origin.label} {problem}", reason=Reason.KUBECONFIG_INVALID, file=origin.label)


_BEGIN_NUMBERS = tuple("-+.0123456789")
_BETWEEN_DIGITS = re.compile(r"(?<=[0-9])_(?=[0-9])")
_DECIMAL = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


_MAX_NODES = 1024 * 1024
"""Most YAML nodes of a file, aliases expanded: without aliases, no file of up to 1 MiB has more."""


class _Loader(yaml.SafeLoader):
    """YAML as kubectl reads it: go-yaml v2 (resolve.go) decides which plain words are not strings.

    Unlike in PyYAML, dates and ``12:30`` are strings, ``y`` is a boolean and ``1e3`` a number.
    """

    bool_values: ClassVar[dict[str, bool]] = {**yaml.SafeLoader.bool_values, "y": True, "n": False}

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """The tag of a plain word.

        In a word that begins like a number, underscores are ignored; if it begins with a point, only
        underscores between two digits are. A number too large for 64 bits is text.
        """
        if kind is not yaml.ScalarNode or not implicit[0] or value[:1] not in _BEGIN_NUMBERS:
            return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call] # PyYAML has no annotations there
        number = _BETWEEN_DIGITS.sub("", value) if value[0] == "." else value.replace("_", "")
        if _DECIMAL.fullmatch(number) and math.isinf(float(number)):
            return self.DEFAULT_SCALAR_TAG
        return super().resolve(kind, number, implicit)  # type: ignore[no-untyped-call] # PyYAML has no annotations there


_Loader.yaml_implicit_resolvers = {}
for _kind, _first, _words in (
    ("null", ["~", "n", "N", ""], "~|null|Null|NULL|"),
    ("merge", ["<"], "<<"),
    ("bool", "tTfF", "[tT]rue|TRUE|[fF]alse|FALSE"),
    ("bool", "yYnNoO", "[yYnN]|[yY]es|YES|[nN]o|NO|[oO]n|ON|[oO]ff|OFF"),
    ("int", "-+0123456789", "[-+]?(0[xX]0*[0-9a-fA-F]{1,16}|0[bB]0*[01]{1,64}|0[oO]?[0-7]+|0|[1-9][0-9]*)"),
    ("float", "-+.0123456789", _DECIMAL.pattern),
    ("float", "-+.", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"(?:{_words})$"), list(_first))


def load(content: bytes, origin: Origin) -> object:
    """The first YAML document of ``content``, with plain types only.

    Raises:
        ConnectionFailed: The content is not valid YAML, or its aliases stand for too much.
    """
    loader = None
    try:
        loader = _Loader(content)
        node = loader.get_node() if loader.check_node() else None
        if node is not None and _expanded(node, {}) > _MAX_NODES:
            raise invalid(origin, "holds YAML aliases that stand for too much")
        return None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise invalid(origin, f"is not valid YAML{place}") from error
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        # PyYAML lets through what its constructors raise, e.g. for a number of 5000 digits.
        raise invalid(origin, "is not valid YAML") from error
    finally:
        if loader is not None:
            loader.dispose()


def _expanded(node: yaml.Node, known: dict[int, int]) -> int:
    """How many nodes there are when each alias is replaced by what it stands for.

    An alias within its own node has no end and counts as too many. Merged mappings (``<<``), and
    programs that write the content anew as JSON, really make all these nodes.
    """
    size = known.get(id(node))
    if size is not None:
        return size
    known[id(node)] = _MAX_NODES + 1  # what an alias finds that stands below this very node
    size = 1
    if isinstance(node, yaml.SequenceNode):
        size += sum(_expanded(inner, known) for inner in node.value)
    elif isinstance(node, yaml.MappingNode):
        size += sum(_expanded(key, known) + _expanded(value, known) for key, value in node.value)
    known[id(node)] = size
    return size


class Fields:
    """A mapping of the file, read with the types it must have."""

    def __init__(self, value: object, origin: Origin, path: str) -> None:
        if not isinstance(value, dict | None):
            raise invalid(origin, f"must hold a mapping at {path or 'its top'}")
        self._values: dict[Any, Any] = value or {}
        self._path = path
        self.origin = origin

    def has(self, key: str) -> bool:
        """Whether the field holds anything but null or an empty value."""
        return bool(self._values.get(key))

    def raw(self, key: str) -> object:
        """The value as YAML gives it."""
        return self._values.get(key)

    def text(self, key: str) -> str:
        """A string; empty when the field is absent."""
        return self._checked(key, self._typed(key, str, "a string (quote it)") or "")

    def flag(self, key: str) -> bool:
        """A boolean; False when the field is absent."""
        return self._typed(key, bool, "true or false") or False

    def fields(self, key: str) -> Fields:
        """A mapping; empty when the field is absent."""
        return Fields(self._values.get(key), self.origin, self._below(key))

    def items(self, key: str) -> Iterator[Fields]:
        """The mappings of a list; none when the field is absent."""
        for index, value in enumerate(self._typed(key, list, "a list") or []):
            yield Fields(value, self.origin, f"{self._below(key)}[{index}]")

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings; empty when the field is absent."""
        values = self._typed(key, list, "a list") or []
        if not all(isinstance(value, str) for value in values):
            raise self.invalid(key, "must be a list of strings (quote them)")
        return tuple(self._checked(key, value) for value in values)

    def data(self, key: str) -> bytes | None:
        """Bytes that are written as base64; None when the field is absent or empty."""
        text = "".join(self.text(key).split())
        if not text:
            return None
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise self.invalid(key, "is not base64") from error

    def invalid(self, key: str, problem: str) -> ConnectionFailed:
        """The error for this field."""
        return invalid(self.origin, f"is malformed: {self._below(key)} {problem}")

    def _checked(self, key: str, text: str) -> str:
        # YAML's escapes can name half a surrogate pair, which no header, path or answer can hold.
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise self.invalid(key, "is no Unicode text")
        return text

    def _below(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def _typed(self, key: str, kind: type[Any], words: str) -> Any:
        value = self._values.get(key)
        if value is not None and not isinstance(value, kind):
            raise self.invalid(key, f"must be {words}")
        return value
