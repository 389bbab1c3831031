"""Builds the shown form of a line for a shell, and of text that no shell reads."""

from __future__ import annotations

import dataclasses
import re

from shared.core.audit.arguments import Arguments, Nested, requoted
from shared.core.audit.secret_names import MASK, bare_name, masked_values, may_hold_names

INNER = "\ue000"
"""A character for private use. A text that is read must not hold it."""

_TOKEN = re.compile(r"\S+")


@dataclasses.dataclass(slots=True)
class Word:
    """A word as it stands in a line, and the same word without its quotes."""

    raw: str = ""
    text: str = ""
    inner: list[str] = dataclasses.field(default_factory=list)
    """The substitutions, already masked; in ``text`` each is replaced by ``INNER``."""
    broken: str = ""
    """The text that follows a quote that never ends."""

    def substitution(self, raw: str) -> None:
        """Adds a substitution."""
        self.raw += raw
        self.text += INNER
        self.inner.append(raw)

    def restored(self, shown: str) -> str:
        """Puts the substitutions back into the shown form of ``text``."""
        pieces = shown.split(INNER)
        known = self.inner if len(pieces) == len(self.inner) + 1 else ["$(...)"] * len(pieces)
        return "".join(
            piece + inner for piece, inner in zip(pieces, [*known[: len(pieces) - 1], ""], strict=True)
        )


class ShownLine:
    """The shown form of commands: its pieces, and which of them are the last command's arguments."""

    def __init__(self, nested: Nested) -> None:
        self._nested = nested
        self._pieces: list[str] = []
        self._places: list[int] = []
        self._given: list[int] = []
        self._printed: list[int] = []
        self._target = False
        self.command = Arguments(nested)

    def text(self) -> str:
        """The whole line."""
        self.end("")
        return "".join(self._pieces)

    def add(self, piece: str) -> None:
        """Adds text that needs no masking."""
        self._pieces.append(piece)

    def given(self, piece: str) -> None:
        """Adds a piece of a command's input, which a later command of the pipeline may read."""
        self._given.append(len(self._pieces))
        self._pieces.append(piece)

    def touches(self) -> bool:
        """Whether a word with ``=`` ends directly before the next piece."""
        return bool(self._pieces) and self._pieces[-1].endswith("=")

    def redirect(self, operator: str) -> None:
        """Adds an operator that is followed by the name of a file."""
        self.add(operator)
        self._target = not self.command.secret

    def word(self, word: Word) -> None:
        """Adds a word with its secrets masked."""
        if self._target:
            self._target = False
            shown = masked_values(word.text)
        else:
            shown = self.command.shown(word.text)
            if shown == word.text and self._pieces[-1:] == ["&"]:  # of an address without quotes
                shown = masked_values("&" + word.text)[1:]
            if not self.command.is_option(word.text):
                self._places.append(len(self._pieces))
        self.add(word.raw if shown == word.text else requoted(word.raw, word.restored(shown)))

    def end(self, operator: str) -> None:
        """Ends a command, and adds the operator behind it."""
        if self.command.last_is_secret(len(self._places)):
            self._pieces[self._places[-1]] = MASK
        if self.command.reads_secret:
            for place in self._printed:
                self._pieces[place] = MASK
            self._printed = []
        into = Arguments(self._nested)
        if operator in ("|", "|&"):
            self.command.into = into
            self._printed += (*self._given, *(self._places[1:] if self.command.prints else ()))
        else:
            self._printed = []
        self._given = []
        self._places = []
        self._target = False
        self.command = into
        self.add(operator)


def loose(text: str, *, rest: bool = False) -> str:
    """Masks secrets in text that no shell reads: line by line, with words that end at blanks.

    Args:
        text: The text.
        rest: Whether the end of a value cannot be known: each value then goes on to the end of its line.
    """
    if not may_hold_names(text) and "bearer" not in text.lower():
        return text
    return "".join(_loose_line(line, rest=rest) for line in text.splitlines(keepends=True))


def _loose_line(line: str, *, rest: bool) -> str:
    line = masked_values(line)
    shown: list[str] = []
    at = 0
    secret = False
    for token in _TOKEN.finditer(line):
        if secret and token[0].strip(":=>"):
            shown += (line[at : token.start()], MASK)
            at = token.end()
            secret = False
            if rest:
                at = len(line.rstrip("\n"))
                break
        else:
            secret = secret or bare_name(token[0]) or token[0].lower() == "bearer"
    return "".join([*shown, line[at:]])
