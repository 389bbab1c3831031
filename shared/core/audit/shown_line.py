"""Builds what is shown of a line for a shell, and of text that no shell reads."""

from __future__ import annotations

import dataclasses
import re

from shared.core.audit.arguments import Arguments, Nested, requoted
from shared.core.audit.secret_names import MASK, bare_name, masked_values, may_hold_names

INNER = "\ue000"
"""A character for private use, which a text that is read must not hold."""

_TOKEN = re.compile(r"\S+")


@dataclasses.dataclass(slots=True)
class Word:
    """A word as it stands in a line, and what it is without its quotes."""

    raw: str = ""
    text: str = ""
    inner: list[str] = dataclasses.field(default_factory=list)
    """Substitutions, masked already; ``INNER`` stands for each in the text."""
    broken: str = ""
    """What follows a quote that never ends."""

    def substitution(self, raw: str) -> None:
        """Adds one."""
        self.raw += raw
        self.text += INNER
        self.inner.append(raw)

    def restored(self, shown: str) -> str:
        """What is shown of the text, with the substitutions in their places."""
        pieces = shown.split(INNER)
        known = self.inner if len(pieces) == len(self.inner) + 1 else ["$(...)"] * len(pieces)
        return "".join(
            piece + inner for piece, inner in zip(pieces, [*known[: len(pieces) - 1], ""], strict=True)
        )


class ShownLine:
    """What is shown of commands: pieces, and where the last command's arguments are among them."""

    def __init__(self, nested: Nested) -> None:
        self._nested = nested
        self._pieces: list[str] = []
        self._places: list[int] = []
        self._given: list[int] = []
        self._printed: list[int] = []
        self._target = False
        self.command = Arguments(nested)

    def text(self) -> str:
        """All of it."""
        self.end("")
        return "".join(self._pieces)

    def add(self, piece: str) -> None:
        """Adds text that needs no masking."""
        self._pieces.append(piece)

    def given(self, piece: str) -> None:
        """Adds the input of a command, which a later command of the pipeline may read."""
        self._given.append(len(self._pieces))
        self._pieces.append(piece)

    def touches(self) -> bool:
        """Whether a word with ``=`` ends here."""
        return bool(self._pieces) and self._pieces[-1].endswith("=")

    def redirect(self, operator: str) -> None:
        """Adds an operator that a file follows."""
        self.add(operator)
        self._target = not self.command.secret

    def word(self, word: Word) -> None:
        """Adds a word, masked."""
        if self._target:
            self._target = False
            shown = masked_values(word.text)
        else:
            shown = self.command.shown(word.text)
            if shown == word.text and self._pieces[-1:] == ["&"]:  # of an address, in a line of a person's
                shown = masked_values("&" + word.text)[1:]
            if not self.command.is_option(word.text):
                self._places.append(len(self._pieces))
        self.add(word.raw if shown == word.text else requoted(word.raw, word.restored(shown)))

    def end(self, operator: str) -> None:
        """Ends a command with the operator behind it."""
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
    """Text that no shell reads, with secrets masked: line by line, words end at blanks.

    Args:
        text: The text.
        rest: Nobody knows where a value ends: it goes on to the end of its line.
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
