"""Reads YAML with the types that a kubeconfig's fields must have.

An error names the file and the place, never the text there, which may be a secret.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from shared.errors import ConnectionFailed
from shared.kube.connect.access.pem import decode_base64
from shared.kube.connect.kubeconfig.loader import Loader
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


_MAX_NODES = 1024 * 1024
"""Most YAML nodes of a file, aliases expanded: without aliases, no file of up to 1 MiB has more."""


def load(content: bytes, origin: Origin) -> object:
    """The JSON value in ``content``, or its first YAML document, with plain types only.

    Raises:
        ConnectionFailed: The content is neither valid JSON nor YAML, or its aliases stand for too much.
    """
    if content.lstrip(b" \t\r\n").startswith(b"{"):
        with contextlib.suppress(ValueError, RecursionError):  # YAML may begin so too
            return _json(content)
    loader = None
    try:
        loader = Loader(content)
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


def _json(content: bytes) -> object:
    """A JSON value: all of RFC 8259, of which YAML 1.1 refuses escaped slashes and pairs of surrogates.

    Raises:
        ValueError: It is no JSON, or it holds half of such a pair, which is no character.
    """
    value: object = json.loads(content.decode())
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    return value


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

    def names(self) -> Iterator[str]:
        """The names of the fields that are there."""
        yield from self._values

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
        try:
            return decode_base64(self.text(key)) or None
        except ValueError as error:
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
