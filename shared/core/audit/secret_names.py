"""Finds names that a secret follows, and the values behind them: ``name=value``, headers, JSON."""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Iterable

from shared.core.audit.secret_patterns import ENDINGS, HARMLESS, NAMES, OPTIONS, ORDINARY, PARTS, QUERY

MASK = "***"

Span = tuple[int, int]


class Kind(enum.Enum):
    """What a word means as a name."""

    NONE = enum.auto()
    HARMLESS = enum.auto()
    OPTION = enum.auto()
    NAME = enum.auto()


def _any_of(words: Iterable[str]) -> str:
    return "|".join("_?".join("[_-]?" if letter == "-" else letter for letter in word) for word in words)


_CONTAINS = re.compile("|".join(name.replace("-", "-?") for name in NAMES))
_PART = re.compile("|".join(PARTS))
_ORDINARY = re.compile("|".join(ORDINARY))
_OPTION = re.compile(rf"(?:^|[_.-])(?:{_any_of(OPTIONS)})$")
_HINT = re.compile("|".join((*(name.partition("-")[0] for name in (*NAMES, *OPTIONS)), *PARTS, *QUERY)))
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_ENDING = re.compile(rf"[a-z](?:[_-](?:{'|'.join(ENDINGS)})|file)$")
_RUN = re.compile(r"[\w.-]+")
_BETWEEN = re.compile(r"[\"'\\\])]{0,4}[ \t]*")
_SEPARATOR = re.compile(r"(?:[=:]{1,2}>?)[ \t]*")
_STRING = {quote: re.compile(rf"(?:[^{quote}\\]|\\.)*+{quote}", re.DOTALL) for quote in "\"'"}
_SCALAR = re.compile(r"[^\s,}\]]*")
_BRACKETS = re.compile(r"[\[\]{}\"]")
_BLOCK = re.compile(r"[|>][-+0-9]*[ \t]*\n(?:[ \t]+[^\n]*(?:\n|\Z)|[ \t]*\n)*+")
_AFTER_STRING = re.compile(r"[\s,;:&}\])>]|\Z")
_ENDS = {
    "?": re.compile(r"[&#\s\"'<>]"),
    "&": re.compile(r"[&#\s\"'<>]"),
    ",": re.compile(r"[,\n\"']"),
    ";": re.compile(r"[;\n\"']"),
}
_BLANK = re.compile(r"\s")


def may_hold_names(text: str) -> bool:
    """Whether a text can hold names at all."""
    return _HINT.search(text.lower().replace("_", "")) is not None


@functools.lru_cache(maxsize=4096)
def _kind_of(run: str) -> Kind:
    bare = run.strip("._-").rstrip("0123456789_.-")
    low = bare.lower()
    if low.replace("_", "") in HARMLESS and not run.startswith("-"):
        return Kind.HARMLESS
    plain = _ORDINARY.sub("/", _CAMEL.sub("-", bare).lower())
    squeezed = _ORDINARY.sub("/", low.replace("_", ""))
    if low == "oldpwd":
        return Kind.NONE
    if _CONTAINS.search(squeezed) or (low != "pwd" and _PART.search(plain)):
        return Kind.HARMLESS if _ENDING.search(plain) else Kind.NAME
    return Kind.OPTION if _OPTION.search(low) else Kind.NONE


def kind_of(run: str) -> Kind:
    """What a word of letters, digits, ``_``, ``-`` and ``.`` means as a name."""
    return _kind_of(run) if len(run) <= 200 else _kind_of.__wrapped__(run)


def bare_name(word: str) -> bool:
    """Whether the next word is this word's value, as in ``password X``, ``--pin X`` and ``"token": X``."""
    text = word.rstrip("\"'\\=: ")
    last = text.rpartition(":")[2] if text.rpartition(":")[2].startswith("_") else text
    name = last.lstrip("\"'\\{[(<, ")
    if not name or not _RUN.fullmatch(name):
        return False
    kind = kind_of(name)
    followed = "=" in word[len(text) :] or ":" in word[len(text) :]
    if kind is Kind.OPTION or (kind is Kind.HARMLESS and not _ends_harmless(name)):
        return followed or (kind is Kind.OPTION and name.startswith("-"))
    return kind is Kind.NAME


def _ends_harmless(name: str) -> bool:
    return name.strip("._-").lower().replace("_", "") not in HARMLESS


def values(text: str, *, whole: bool = False) -> list[Span]:
    """Finds the values of names in a text: behind ``=`` or ``:``, or in XML's tags.

    Args:
        text: A word without its quotes, or a line.
        whole: Whether the text is one word. The value behind a name and ``=`` or ``:`` then goes on to its
            end.

    Returns:
        Spans in order, which do not overlap.
    """
    found: list[Span] = []
    if not may_hold_names(text):
        return found
    end = 0
    for run in _RUN.finditer(text):
        if run.start() < end:
            continue
        span = _value(text, run, whole=whole)
        if span is not None and span[1] > span[0]:
            found.append(span)
            end = span[1]
    return found


def masked_values(text: str, *, whole: bool = False) -> str:
    """The text with the ``values`` replaced."""
    pieces: list[str] = []
    at = 0
    for begin, end in values(text, whole=whole):
        quoted = end - begin > 1 and text[begin] in _STRING and text[end - 1] == text[begin]
        quote = text[begin] if quoted else ""
        pieces += (text[at:begin], quote, MASK, quote)
        at = end
    return "".join([*pieces, text[at:]]) if pieces else text


def _is_name(name: str, before: str) -> bool:
    kind = kind_of(name)
    if kind is Kind.NONE:
        return before in ("?", "&") and name.lower() in QUERY
    return kind is not Kind.HARMLESS or not _ends_harmless(name)


def _value(text: str, run: re.Match[str], *, whole: bool) -> Span | None:
    before = text[run.start() - 1] if run.start() else ""
    if not _is_name(run[0], before):
        return None
    at = run.end()
    if before == "<" and text[at : at + 1] == ">":
        close = text.find("<", at)
        return at + 1, len(text) if close < 0 else close
    between = _BETWEEN.match(text, at)
    assert between is not None, "it matches nothing, too"
    separator = _SEPARATOR.match(text, between.end())
    if separator is None or text.startswith("//", separator.end()):
        return None
    begin = separator.end()
    if whole and not text[: run.start()].strip("-/\"'"):
        return begin, len(text)
    if before in ("$", "{") and text[separator.start()] == ":" and not separator[0].endswith(" "):
        return (begin, _end_of_brace(text, begin)) if before == "{" else None
    return begin, _end(text, begin, before, separator[0], key=bool(between[0].strip()))


def _end_of_brace(text: str, begin: int) -> int:
    close = text.find("}", begin)
    return len(text) if close < 0 else close


def _end(text: str, begin: int, before: str, separator: str, *, key: bool) -> int:
    """The index at which the value that begins at ``begin`` ends."""
    first = text[begin : begin + 1]
    if first == "\\" and text[begin + 1 : begin + 2] in ('"', "'"):  # quoted JSON within quotes
        close = text.find(text[begin : begin + 2], begin + 2)
        return _line_end(text, begin) if close < 0 else close + 2
    if first in _STRING:
        return _string_end(text, begin)
    if first in ("[", "{") and (key or separator.endswith(" ")):
        return _closed(text, begin)
    return _scalar_end(text, begin, before, separator, key=key)


def _string_end(text: str, begin: int) -> int:
    string = _STRING[text[begin]].match(text, begin + 1)
    if string is None:
        return _line_end(text, begin)
    after = _AFTER_STRING.match(text, string.end())
    return string.end() if after else _word_end(text, string.end())


def _scalar_end(text: str, begin: int, before: str, separator: str, *, key: bool) -> int:
    if before in _ENDS:
        stop = _ENDS[before].search(text, begin)
        return stop.start() if stop else len(text)
    if key:
        scalar = _SCALAR.match(text, begin)
        return scalar.end() if scalar else begin
    block = _BLOCK.match(text, begin)
    if block is not None:
        return block.end()
    return _line_end(text, begin) if separator.endswith((" ", "\t")) else _word_end(text, begin)


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _word_end(text: str, at: int) -> int:
    blank = _BLANK.search(text, at)
    return blank.start() if blank else len(text)


def _closed(text: str, begin: int) -> int:
    """Index at which the bracket that opens at ``begin`` closes; the end of the text if it never does."""
    depth, at = 0, begin
    while (found := _BRACKETS.search(text, at)) is not None:
        at = found.end()
        if found[0] == '"':
            string = _STRING['"'].match(text, at)
            at = string.end() if string else len(text)
        else:
            depth += 1 if found[0] in "[{" else -1
            if depth == 0:
                return at
    return len(text)
