"""Secrets in a command's arguments: found by the names before them or by their own shape.

Which those are, ``shared.audit.secrets`` says. Whatever stores or shows a command goes through here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence

from shared.audit.secrets import HARMLESS, NAMES, OPTIONS, SHAPES

MASK = "***"
MAX_CHARACTERS = 2000
"""Most that is kept of a command."""

_MAX_SEARCHED = 4000
_DEEPEST = 6


def _any_of(words: Iterable[str]) -> str:
    return "|".join("_?".join("[_-]?" if letter == "-" else letter for letter in word) for word in words)


_NAME_PATTERN = (
    rf"(?<![\w-])(?!(?:{_any_of(HARMLESS)})(?![\w=:-]))"
    rf"(?:[\w-]*(?:{_any_of(NAMES)})|(?P<option>(?:[\w-]*[_-])?(?:{_any_of(OPTIONS)})))[0-9_-]*(?![\w-])"
)
_NAME = re.compile(_NAME_PATTERN, re.IGNORECASE)
_ASSIGNED = re.compile(rf"[^\s\"']*?{_NAME_PATTERN}[=:]\s*", re.IGNORECASE)
_SCHEMES = ("bearer", "basic", "digest", "negotiate")
_SHAPES = re.compile("|".join(SHAPES.values()))


def masked(command: str) -> str:
    """A command with what looks like a secret replaced.

    GAM gives names and values as two words (``password Xy``); others as ``name=value``,
    ``--name value``, a header or JSON. What is in quotes is searched as a line of its own.

    Args:
        command: A line, as ``shlex.join`` or a person writes it.

    Returns:
        At most 2,000 characters. Quotes may stand elsewhere where something was masked.
    """
    return _line(_SHAPES.sub(MASK, command[:_MAX_SEARCHED]), 0)[:MAX_CHARACTERS]


def masked_words(words: Sequence[str]) -> list[str]:
    """A command's program and arguments with what looks like a secret replaced, the others as they are.

    Args:
        words: As they would be executed.

    Returns:
        As many words, of at most 2,000 characters each.
    """
    shown: list[str] = []
    secret = False
    for word in words:
        if secret and (not word.strip(":=") or word.lower() in _SCHEMES):
            shown.append(word)
            continue
        if secret:
            shown.append(MASK)
            secret = False
            continue
        clean = _SHAPES.sub(MASK, word[:_MAX_SEARCHED])
        if assigned := _assigned(clean):
            text = assigned + MASK
        elif _is_line(clean):
            text = _line(clean, 1)
        else:
            text, secret = _word(clean, 0)
        shown.append((text if MASK in text else word)[:MAX_CHARACTERS])
    return shown


def _line(text: str, depth: int) -> str:
    if not _NAME.search(text) and "bearer" not in text.lower():
        return text
    try:
        words, broken = shlex.split(text), False
    except ValueError:
        # Without knowing where a quoted value ends, all behind a name is secret.
        words, broken = text.split(), True
    shown: list[str] = []
    secret = False
    for word in words:
        if secret and (not word.strip(":=") or word.lower() in _SCHEMES):
            shown.append(word)
        elif secret:
            shown.append(MASK)
            secret = False
        else:
            text, secret = _word(word, depth)
            shown.append(text)
        if broken and (secret or MASK in shown[-1]):
            return " ".join([*shown, MASK])
    return " ".join(shown)


def _word(word: str, depth: int) -> tuple[str, bool]:
    """A word as it may be shown, and whether the next one is a secret."""
    if assigned := _assigned(word):
        return shlex.quote(assigned + MASK), False
    if _is_line(word):
        return (MASK if depth == _DEEPEST else shlex.quote(_line(word, depth + 1))), False
    if word.lower() == "bearer":
        return word, True
    for name in _NAME.finditer(word):
        rest = word[name.end() :]
        if name["option"] and not (name[0].startswith("-") or rest.lstrip("\"'\\ ").startswith(("=", ":"))):
            continue
        value = rest.lstrip("\"'\\=: ")
        between = rest.removesuffix(value)
        if not value:
            return word, True
        if set(between) & set("=:"):
            known = value.lower() in _SCHEMES
            return word if known else word.removesuffix(value) + MASK, known
    return (shlex.quote(word) if any(c.isspace() or c in "\"'" for c in word) else word), False


def _assigned(word: str) -> str:
    """What stands before the secret of a word that begins with ``name=`` and goes on behind a space.

    Where the value ends and a line goes on cannot be told: PASSWORD='a b', PASSWORD=a command.
    """
    if not any(character.isspace() for character in word):
        return ""
    found = _ASSIGNED.match(word)
    return found[0] if found else ""


def _is_line(word: str) -> bool:
    """Whether a word was several in quotes."""
    try:
        return any(character.isspace() for character in word) and len(shlex.split(word)) > 1
    except ValueError:
        return True
