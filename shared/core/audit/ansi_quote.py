"""``$'...'`` as bash reads it: https://www.gnu.org/software/bash/manual/html_node/ANSI_002dC-Quoting.html."""

from __future__ import annotations

import re

_QUOTE = re.compile(r"(?:[^'\\]|\\.)*+'", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|([0-7]{1,3})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "v": "\v"}


def ansi_quote(text: str, at: int) -> tuple[str, str] | None:
    """Reads the quote whose first character behind ``$'`` is at index ``at``.

    Args:
        text: Any text.
        at: Index of that character.

    Returns:
        The text of the quote with the mark that ends it, and the text that it stands for; None: it never
        ends.
    """
    found = _QUOTE.match(text, at)
    return None if found is None else (found[0], _ESCAPE.sub(_meant, found[0][:-1]))


def _meant(escape: re.Match[str]) -> str:
    hexadecimal = escape[1] or escape[2]
    if hexadecimal:
        return chr(int(hexadecimal, 16))
    return chr(int(escape[3], 8) & 0xFF) if escape[3] else _ESCAPED.get(escape[4], escape[4])
