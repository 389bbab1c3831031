"""A YAML loader that reads a file as kubectl does.

kubectl uses go-yaml v2 (sigs.k8s.io/yaml/goyaml.v2), which is libyaml in Go; PyYAML differs from it. The
places of the differences: ``scannerc.go`` (blanks, plain words in flow, escapes), ``resolve.go`` (types of
plain words), ``decode.go`` (tags), ``parserc.go`` (version).
"""

from __future__ import annotations

import math
import re
from typing import Any, ClassVar

import yaml

_BEGIN_NUMBERS = tuple("-+.0123456789")
_BETWEEN_DIGITS = re.compile(r"(?<=[0-9])_(?=[0-9])")
_DECIMAL = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


_BLANKS = " \t"
_BREAKS = "\r\n\x85\u2028\u2029"
_BLANKS_AND_END = _BLANKS + _BREAKS + "\0"
_ESCAPES = {key: value for key, value in yaml.SafeLoader.ESCAPE_REPLACEMENTS.items() if key != "/"}


class Loader(yaml.SafeLoader):
    """Reads YAML as go-yaml v2 does.

    Unlike in PyYAML, dates and ``12:30`` are strings, ``y`` is a boolean and ``1e3`` a number; a tab is a
    blank except where it would indent; a tag that is not known is ignored.
    """

    bool_values: ClassVar[dict[str, bool]] = {**yaml.SafeLoader.bool_values, "y": True, "n": False}

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.ESCAPE_REPLACEMENTS = _ESCAPES  # type: ignore[misc] # PyYAML looks them up in the instance

    def scan_to_next_token(self) -> None:
        """Skips blanks, line breaks and comments. A tab where a key may begin is left, and so an error."""
        if self.index == 0 and self.peek() == "\ufeff":
            self.forward()
        while True:
            while self.peek() == " " or (
                self.peek() == "\t" and (self.flow_level or not self.allow_simple_key)
            ):
                self.forward()
            self._skip_comment()
            if not self._skip_break():
                return
            if not self.flow_level:
                self.allow_simple_key = True

    def scan_plain(self) -> yaml.ScalarToken:
        """A plain word. In flow, a colon ends it only before a blank."""
        start = end = self.get_mark()
        indent = self.indent + 1
        parts: list[str] = []
        blanks: list[str] = []
        while self.peek() != "#":
            length = 0
            while not self._ends_plain(length):
                length += 1
            if length == 0:
                break
            self.allow_simple_key = False
            parts += [*blanks, self.prefix(length)]
            self.forward(length)
            end = self.get_mark()
            blanks = self.scan_plain_spaces(indent, start) or []
            if not blanks or (not self.flow_level and self.column < indent):
                break
        return yaml.ScalarToken("".join(parts), True, start, end)

    def _ends_plain(self, length: int) -> bool:
        here = self.peek(length)
        if here in _BLANKS_AND_END or (here == ":" and self.peek(length + 1) in _BLANKS_AND_END):
            return True
        return bool(self.flow_level) and here in ",?[]{}"

    def scan_plain_spaces(self, indent: int, start: yaml.Mark) -> list[str] | None:
        """The blanks and line breaks within a plain word, folded; None where a document ends."""
        length = 0
        while self.peek(length) in _BLANKS:
            length += 1
        blanks = self.prefix(length)
        self.forward(length)
        if self.peek() not in _BREAKS:
            return [blanks] if blanks else []
        first = self._skip_break()
        self.allow_simple_key = True
        breaks: list[str] = []
        while not self._at_document_mark() and self.peek() in _BLANKS + _BREAKS:
            if self.peek() == "\t" and self.column < indent:
                problem = "found a tab character that violates indentation"
                raise yaml.scanner.ScannerError(
                    "while scanning a plain scalar", start, problem, self.get_mark()
                )
            if self.peek() in _BLANKS:
                self.forward()
            else:
                breaks.append(self._skip_break())
        if self._at_document_mark():
            return None
        if first != "\n":
            return [first, *breaks]
        return breaks or [" "]

    def _skip_break(self) -> str:
        found: str = self.scan_line_break()  # type: ignore[no-untyped-call] # PyYAML has no annotations there
        return found

    def _at_document_mark(self) -> bool:
        return self.column == 0 and self.prefix(3) in ("---", "...") and self.peek(3) in _BLANKS_AND_END

    def scan_block_scalar_indicators(self, start_mark: yaml.Mark) -> tuple[bool | None, int | None]:
        """A block's indicators: whether its last line breaks stay (None: one does), and how far it is in."""
        del start_mark  # what else stands there is refused with the rest of the line
        stay: bool | None = None
        indent: int | None = None
        for _ in range(2):
            here = self.peek()
            if here in ("+", "-") and stay is None:
                stay = here == "+"
            elif here in "123456789" and indent is None:
                indent = int(here)
            else:
                break
            self.forward()
        return stay, indent

    def scan_block_scalar_ignored_line(self, start_mark: yaml.Mark) -> None:
        """The rest of a block's first line: blanks and a comment."""
        while self.peek() in _BLANKS:
            self.forward()
        self._skip_comment()
        super().scan_block_scalar_ignored_line(start_mark)

    def _skip_comment(self) -> None:
        if self.peek() == "#":
            while self.peek() not in _BREAKS + "\0":
                self.forward()

    def process_directives(self) -> Any:
        """The document's directives; of YAML's versions only 1.1 is known."""
        found = super().process_directives()  # type: ignore[no-untyped-call] # PyYAML has no annotations there
        if self.yaml_version not in (None, (1, 1)):
            raise yaml.YAMLError("an incompatible version of YAML")
        return found

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping. JSON has no null keys, and go-yaml makes JSON of it."""
        found = super().construct_mapping(node, deep)
        if None in found:
            raise yaml.constructor.ConstructorError(None, None, "found a null key", node.start_mark)
        return found

    def construct_untagged(self, node: yaml.Node) -> Any:
        """The value of a node whose tag is not known: as if it had none; a scalar is text."""
        if isinstance(node, yaml.ScalarNode):
            return self.construct_scalar(node)
        if isinstance(node, yaml.MappingNode):
            return self.construct_mapping(node, deep=True)
        assert isinstance(node, yaml.SequenceNode), "there is no other kind of node"
        return self.construct_sequence(node, deep=True)

    def construct_binary(self, node: yaml.ScalarNode) -> str:
        """What ``!!binary`` stands for, as text."""
        return super().construct_yaml_binary(node).decode("utf-8", errors="replace")

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


Loader.yaml_implicit_resolvers = {}
for _kind, _first, _words in (
    ("null", ["~", "n", "N", ""], "~|null|Null|NULL|"),
    ("merge", ["<"], "<<"),
    ("bool", "tTfF", "[tT]rue|TRUE|[fF]alse|FALSE"),
    ("bool", "yYnNoO", "[yYnN]|[yY]es|YES|[nN]o|NO|[oO]n|ON|[oO]ff|OFF"),
    ("int", "-+0123456789", "[-+]?(0[xX]0*[0-9a-fA-F]{1,16}|0[bB]0*[01]{1,64}|0[oO]?[0-7]+|0|[1-9][0-9]*)"),
    ("float", "-+.0123456789", _DECIMAL.pattern),
    ("float", "-+.", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"(?:{_words})$"), list(_first))

for _tag in ("set", "omap", "pairs", "timestamp"):
    Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", Loader.construct_untagged)
Loader.add_constructor("tag:yaml.org,2002:binary", Loader.construct_binary)
Loader.add_constructor(None, Loader.construct_untagged)
