"""Reads lines as a shell does: words, quotes, continuations, comments, here-documents, substitutions.

Source: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html, and bash's manual for
``$'...'``, ``<<<`` and ``<(...)``. Each character is read once. No shell would run broken text, such as a
quote that never ends; such text is searched for names and shown.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

from shared.core.audit.ansi_quote import ansi_quote
from shared.core.audit.arguments import Arguments, Nested, requoted
from shared.core.audit.secret_names import MASK, masked_values
from shared.core.audit.shown_line import ShownLine, Word, loose

DEEPEST = 8
"""Deepest nesting of substitutions that is read."""

_RECOVERIES = 2
"""Most quotes that never end, behind which the next line is read again; a shell gives up at the first one."""

_PLAIN = re.compile(r"[^ \t\r\f\v\n;|&()<>'\"\\$`]+")
_BLANKS = re.compile(r"(?:[ \t\r\f\v]|\\\n)+")
_DOUBLE = re.compile(r"[^\"\\$`]+")
_BACKTICK = re.compile(r"(?:[^`\\]|\\.)*+`", re.DOTALL)
_BRACED = re.compile(r"(?:[^{}\\]|\\.)*+\}", re.DOTALL)
_OPERATOR = re.compile(r"&>>|&>|<<<|<<-|<<|<>|<&|>>|>&|>\||<\(|>\(|<|>|;;&|;;|;&|&&|\|\||\|&|[;&|()\n]")


@dataclasses.dataclass(slots=True)
class _Document:
    delimiter: str
    dash: bool
    command: Arguments
    expanded: bool


class ShellReader:
    """Reads a text once and returns it with its secrets masked.

    Args:
        text: Lines for a shell.
        nested: Masks a word that holds several words.
        is_cut: Whether the text went on, but was cut.
    """

    def __init__(self, text: str, nested: Nested, *, is_cut: bool = False) -> None:
        self._text = text
        self._nested = nested
        self._is_cut = is_cut
        self._at = 0
        self._deep = 0
        self._recoveries = 0
        self._documents: list[_Document] = []

    def masked(self) -> str:
        """The whole text with its secrets masked."""
        out = ShownLine(self._nested)
        while self._at < len(self._text):
            self._commands(out, closer="")
            if self._at < len(self._text):  # a closing bracket without an opening one
                out.add(self._text[self._at])
                self._at += 1
        return out.text()

    def _commands(self, out: ShownLine, closer: str) -> None:
        """Reads commands to the end, or up to ``closer``, which it leaves unread."""
        depth = 0
        while self._at < len(self._text):
            if blanks := _BLANKS.match(self._text, self._at):
                out.add(blanks[0])
                self._at = blanks.end()
            elif self._text[self._at] == "#":
                self._comment(out)
            elif operator := _OPERATOR.match(self._text, self._at):
                if operator[0] == ")":
                    if depth == 0 and closer:
                        return
                    depth = max(0, depth - 1)
                elif operator[0] == "(":
                    depth += 1
                self._at = operator.end()
                self._operate(operator[0], out)
            else:
                self._argument(out)

    def _comment(self, out: ShownLine) -> None:
        end = self._text.find("\n", self._at)
        end = len(self._text) if end < 0 else end
        out.add(loose(self._text[self._at : end], rest=True))
        self._at = end

    def _operate(self, operator: str, out: ShownLine) -> None:
        if operator in ("<(", ">("):
            out.add(operator + self._substituted())
        elif operator in ("<<", "<<-"):
            out.add(operator)
            self._document(out, dash=operator == "<<-")
        elif operator == "<<<":
            out.add(operator)
            out.add(self._blanks())
            self._here_string(out)
        elif operator[0] in "<>" or operator in ("&>", "&>>"):
            out.redirect(operator)
        elif operator == "(" and out.command.secret and out.touches():  # an array: PASSWORDS=(a b)
            self._substituted()
            out.add(f"({MASK})")
            out.command = Arguments(self._nested)
        elif operator == "(":
            out.add(operator)
        else:
            out.end(operator)
            if operator == "\n":
                self._bodies(out)

    def _blanks(self) -> str:
        blanks = _BLANKS.match(self._text, self._at)
        self._at = blanks.end() if blanks else self._at
        return blanks[0] if blanks else ""

    def _argument(self, out: ShownLine) -> None:
        secret = out.command.secret
        word = self._word()
        if word.raw and not (secret and word.broken):
            out.word(word)
        if not word.broken:
            return
        line, newline, rest = word.broken.partition("\n")
        value = secret or word.text.endswith(("=", ":"))
        if value and self._is_cut:
            newline = rest = ""
        # The end of this value cannot be known; the end of its line is taken.
        out.add(MASK if value else loose(line, rest=True))
        out.command = Arguments(self._nested)
        self._recoveries += 1
        if self._recoveries > _RECOVERIES:
            out.add(newline + loose(rest, rest=True))
        else:
            self._at = len(self._text) - len(newline + rest)

    def _here_string(self, out: ShownLine) -> None:
        word = self._word()
        if out.command.reads_secret or word.broken:
            out.add(MASK)
        else:
            shown = self._nested(word.text)
            out.given(word.raw if shown == word.text else requoted(word.raw, word.restored(shown)))

    def _document(self, out: ShownLine, *, dash: bool) -> None:
        out.add(self._blanks())
        word = self._word()
        out.add(word.raw + word.broken)
        self._documents.append(_Document(word.text, dash, out.command, expanded=word.raw == word.text))

    def _bodies(self, out: ShownLine) -> None:
        """Reads the here-documents of the line that has ended."""
        documents, self._documents = self._documents, []
        for document in documents:
            lines: list[str] = []
            end = ""
            while self._at < len(self._text):
                line_end = self._text.find("\n", self._at)
                line_end = len(self._text) if line_end < 0 else line_end + 1
                line, self._at = self._text[self._at : line_end], line_end
                if (line.lstrip("\t") if document.dash else line).rstrip("\n") == document.delimiter:
                    end = line
                    break
                lines.append(line)
            out.add(self._body("".join(lines), document.command) + end)

    def _body(self, body: str, command: Arguments) -> str:
        if command.passes_secret() and body:
            return MASK + "\n"
        if command.reads_shell:
            return self._nested(body)
        return self._nested(masked_values(body))

    def _substituted(self) -> str:
        """Reads commands up to and including the closing bracket."""
        inner = ShownLine(self._nested)
        self._deep += 1
        if self._deep <= DEEPEST:
            self._commands(inner, closer=")")
        self._deep -= 1
        closed = self._text[self._at : self._at + 1]
        self._at += len(closed)
        return inner.text() + closed

    def _word(self) -> Word:
        """Reads a word with its quotes."""
        word = Word()
        readers: dict[str, Callable[[Word], None]] = {
            "'": self._single,
            '"': self._double,
            "\\": self._escape,
            "$": self._dollar,
            "`": self._backtick,
        }
        while self._at < len(self._text) and not word.broken:
            plain = _PLAIN.match(self._text, self._at)
            if plain is not None:
                self._take(word, plain[0], plain[0])
                continue
            read = readers.get(self._text[self._at])
            if read is None:
                break
            read(word)
        return word

    def _take(self, word: Word, raw: str, text: str) -> None:
        word.raw += raw
        word.text += text
        self._at += len(raw)

    def _break(self, word: Word) -> None:
        word.broken = self._text[self._at :]
        self._at = len(self._text)

    def _single(self, word: Word) -> None:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            self._break(word)
        else:
            self._take(word, self._text[self._at : end + 1], self._text[self._at + 1 : end])

    def _escape(self, word: Word) -> None:
        raw = self._text[self._at : self._at + 2]
        self._take(word, raw, "" if raw == "\\\n" else raw[1:])

    def _double(self, word: Word) -> None:
        begin, raw, text = self._at, word.raw, word.text
        self._take(word, '"', "")
        while self._at < len(self._text):
            plain = _DOUBLE.match(self._text, self._at)
            character = self._text[self._at]
            if plain is not None:
                self._take(word, plain[0], plain[0])
            elif character == '"':
                self._take(word, '"', "")
                return
            elif character == "\\":
                two = self._text[self._at : self._at + 2]
                escaped = two[1:] in ('"', "\\", "$", "`")
                self._take(word, two, two[1:] if escaped else "" if two == "\\\n" else two)
            elif character == "$":
                self._dollar(word, quoted=True)
            else:
                self._backtick(word)
            if word.broken:
                break
        word.raw, word.text, word.broken = raw, text, self._text[begin:]
        self._at = len(self._text)

    def _dollar(self, word: Word, *, quoted: bool = False) -> None:
        two = self._text[self._at : self._at + 2]
        if two == "$'" and not quoted:
            quote = ansi_quote(self._text, self._at + 2)
            if quote is None:
                self._break(word)
            else:
                self._take(word, two + quote[0], quote[1])
        elif two == '$"' and not quoted:
            self._take(word, "$", "")
            self._double(word)
        elif two == "$(" and self._text.startswith("$((", self._at):
            self._at += 3
            word.substitution("$((" + self._arithmetic())
        elif two == "$(":
            self._at += 2
            word.substitution(two + self._substituted())
        elif two == "${":
            found = _BRACED.match(self._text, self._at + 2)
            raw = two + found[0] if found else two
            self._at += len(raw)
            word.substitution(masked_values(raw))
        else:
            self._take(word, "$", "$")

    def _arithmetic(self) -> str:
        """Reads up to the two closing brackets; ``$((`` may also begin the substitution of a subshell."""
        end = self._text.find("))", self._at)
        inside = self._text[self._at : end] if end >= 0 else ""
        if end >= 0 and not any(character in inside for character in "'\"\n;|"):
            self._at = end + 2
            return inside + "))"
        inner = "" if end < 0 else self._substituted()
        return inner + self._substituted()

    def _backtick(self, word: Word) -> None:
        found = _BACKTICK.match(self._text, self._at + 1)
        if found is None:
            self._break(word)
            return
        self._at = found.end()
        word.substitution("`" + self._nested(found[0][:-1]) + "`")
