"""Masks secrets in a command, found by the names before them, by the program's options, or by their shape.

``shared.core.audit.secret_patterns`` says what counts as a secret. All code that stores or shows a command
masks it here.
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
"""Most characters that are kept of a command, or of one of its words."""

_MAX_ALL_WORDS = 2 * MAX_CHARACTERS
"""Most characters that are kept of a command's words. Of words that are cut or masked, no more are read."""

_WORD_COST = 8
"""Characters that a word counts in addition to its own: many short words cost more than a long one."""

_SEARCHED = MAX_CHARACTERS + 1024
"""Most characters that are read: a secret that begins in the kept part may be recognized by its end only."""

_WORK = 5 * _SEARCHED // 2
"""Most characters that are read in all; text in quotes is read again as a line."""

_LINE_COST = 32
"""Characters that a line counts in addition to its own."""

_DEEPEST = 6

_SHAPES = re.compile("|".join(SHAPES.values()))
_OPEN_SHAPES = re.compile(r"(?:(?<=://)[^/?#\s\"']+|\beyJ(?:\w|-(?!eyJ))++(?:\.[\w-]*+)?)\Z")
"""Shapes that are recognized by their end, for text that was cut before that end."""


class Shown(NamedTuple):
    """A command as it may be stored and shown.

    Attributes:
        command: A line or words, as the caller gave it.
        masked: Whether a part was replaced.
        truncated: Whether a part was left out.
    """

    command: str | tuple[str, ...]
    masked: bool
    truncated: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Masked:
    """A command as it may be shown.

    Attributes:
        text: At most ``MAX_CHARACTERS``.
        masked: Whether a part was replaced.
        truncated: Whether a part was left out.
    """

    text: str
    masked: bool
    truncated: bool


class _Masking:
    """The masking of one command. Its limit holds for all of the command, however deep it is nested."""

    def __init__(self) -> None:
        self._left = _WORK
        self._deep = 0

    def line(self, text: str, *, is_cut: bool = False) -> str:
        """Masks one or several lines for a shell, or text that may be one."""
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
    """Replaces what looks like a secret in a command, and says what was done to the command.

    Args:
        command: A line, as written by ``shlex.join`` or by a person.
    """
    is_cut = len(command) > _SEARCHED
    text = _shapes_masked(command[:_SEARCHED], is_cut=is_cut)
    shown = _Masking().line(text, is_cut=is_cut)
    return Masked(shown[:MAX_CHARACTERS], shown != command[:_SEARCHED], is_cut or len(shown) > MAX_CHARACTERS)


def masked(command: str) -> str:
    """Replaces what looks like a secret in a command; see ``look``.

    GAM takes names and values as two words (``password Xy``). Other programs take ``name=value``,
    ``--name value``, a header or JSON. Text in quotes is searched as a line of its own.

    Returns:
        At most ``MAX_CHARACTERS``. Where something was masked, the quotes may differ.
    """
    return look(command).text


def shown_command(command: str | Sequence[str]) -> Shown:
    """See ``ShownCommand``."""
    if not isinstance(command, str):
        return _words(command)
    looked = look(command)
    return Shown(looked.text, looked.masked, looked.truncated)


def masked_words(words: Sequence[str]) -> list[str]:
    """Replaces what looks like a secret in program and arguments, and keeps the other words as they are.

    Args:
        words: Program and arguments as they would be executed.

    Returns:
        As many words, each of at most ``MAX_CHARACTERS``. If they have more than 8,192 characters in all,
        where each word counts eight more, one word that says how many are left out stands for the rest.
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
