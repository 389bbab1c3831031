"""Secrets in a command: found by the names before them, by the program's options, or by their form.

``shared.core.audit.secret_patterns`` says which those are. Whoever stores or shows a command comes here.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import NamedTuple

from shared.core.audit.arguments import Arguments
from shared.core.audit.secret_names import MASK
from shared.core.audit.secret_patterns import SHAPES
from shared.core.audit.shell import ShellReader
from shared.core.audit.shown_line import INNER

__all__ = ["MASK", "Masked", "look", "masked", "masked_words", "shown_command"]

MAX_CHARACTERS = 4096
"""Most that is kept of a command, or of one of its words."""

_MAX_ALL_WORDS = 2 * MAX_CHARACTERS
"""Most that is kept of a command's words; of those that are cut or masked, no more are read either."""

_WORD_COST = 8
"""Characters that a word counts for beside its own: many short ones cost more than a long one."""

_SEARCHED = MAX_CHARACTERS + 1024
"""Most that is read: what begins in the part that is kept must be recognized by how it goes on."""

_WORK = 5 * _SEARCHED // 2
"""Characters that are read in all: text in quotes is read again as a line."""

_LINE_COST = 32
"""Characters that a line counts for beside its own."""

_DEEPEST = 6

_SHAPES = re.compile("|".join(SHAPES.values()))
_OPEN_SHAPES = re.compile(r"(?:(?<=://)[^/?#\s\"']+|\beyJ(?:\w|-(?!eyJ))++(?:\.[\w-]*+)?)\Z")
"""Shapes that are known by their end, where the text was cut before it."""


class Shown(NamedTuple):
    """A command as it may be stored and shown.

    Attributes:
        command: In the caller's form.
        masked: A part of it was replaced.
        truncated: A part of it was left out.
    """

    command: str | tuple[str, ...]
    masked: bool
    truncated: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Masked:
    """A command as it may be shown.

    Attributes:
        text: At most ``MAX_CHARACTERS``.
        masked: A part of it was replaced.
        truncated: A part of it was left out.
    """

    text: str
    masked: bool
    truncated: bool


class _Masking:
    """The work on one command. A bound holds for all of it, however deep it is nested."""

    def __init__(self) -> None:
        self._left = _WORK
        self._deep = 0

    def line(self, text: str, *, is_cut: bool = False) -> str:
        """A line or several for a shell, or what may be one."""
        self._left -= len(text) + _LINE_COST
        if self._left < 0 or self._deep >= _DEEPEST:
            return MASK
        self._deep += 1
        shown = ShellReader(text, self.nested, is_cut=is_cut).masked()
        self._deep -= 1
        return shown

    def nested(self, text: str) -> str:
        """See ``Nested``."""
        return self.line(text)


def look(command: str) -> Masked:
    """A command with what looks like a secret replaced, and what was done to it.

    Args:
        command: A line, as ``shlex.join`` or a person writes it.
    """
    is_cut = len(command) > _SEARCHED
    text = _shapes_masked(command[:_SEARCHED], is_cut=is_cut)
    shown = _Masking().line(text, is_cut=is_cut)
    return Masked(shown[:MAX_CHARACTERS], shown != command[:_SEARCHED], is_cut or len(shown) > MAX_CHARACTERS)


def masked(command: str) -> str:
    """A command with what looks like a secret replaced; see ``look``.

    GAM gives names and values as two words (``password Xy``); others as ``name=value``,
    ``--name value``, a header or JSON. What is in quotes is searched as a line of its own.

    Returns:
        At most ``MAX_CHARACTERS``. Quotes may be others where something was masked.
    """
    return look(command).text


def shown_command(command: str | Sequence[str]) -> Shown:
    """See ``ShownCommand``."""
    if not isinstance(command, str):
        return _words(command)
    looked = look(command)
    return Shown(looked.text, looked.masked, looked.truncated)


def masked_words(words: Sequence[str]) -> list[str]:
    """A command's program and arguments with what looks like a secret replaced, the others as they are.

    Args:
        words: As they would be executed.

    Returns:
        As many words, of at most ``MAX_CHARACTERS`` each. When they are more than 8,192 characters in
        all, each counted with eight more, one word that says how many are left out stands for the rest.
    """
    return list(_words(words).command)


def _words(words: Sequence[str]) -> Shown:
    work = _Masking()
    command = Arguments(work.nested)
    shown: list[str] = []
    left = _MAX_ALL_WORDS
    is_masked = is_cut = False
    for word in words:
        if left <= 0:
            break
        read = word[: min(_SEARCHED, left)]
        text = command.shown(_shapes_masked(read, is_cut=len(word) > len(read)))
        is_masked = is_masked or text != read
        is_cut = is_cut or len(word) > len(read) or len(text) > MAX_CHARACTERS
        shown.append(text[:MAX_CHARACTERS])
        left -= len(read) + _WORD_COST
    places = [place for place, word in enumerate(words[: len(shown)]) if not command.is_option(word)]
    if command.last_is_secret(len(places)) and len(shown) == len(words):
        shown[places[-1]] = MASK
        is_masked = True
    if len(shown) < len(words):
        shown.append(f"[{len(words) - len(shown)} more]")
        is_cut = True
    return Shown(tuple(shown), is_masked, is_cut)


def _shapes_masked(text: str, *, is_cut: bool) -> str:
    text = _SHAPES.sub(MASK, text.replace(INNER, "?"))
    return _OPEN_SHAPES.sub(MASK, text) if is_cut else text
