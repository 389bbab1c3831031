"""Reads a command's words one by one and says which words, or which parts of them, are secrets."""

from __future__ import annotations

import re
from collections.abc import Callable

from shared.core.audit.programs import ASSIGNED, CONNECTED, FOLLOWED, GENERATED, LAST_BEHIND, REMOTE, is_basic
from shared.core.audit.secret_names import MASK, bare_name, masked_values
from shared.core.audit.secret_patterns import LAST, LISTING, READERS, TOOLS, Value

Nested = Callable[[str], str]
"""Masks a word that holds several words, such as a line for another shell."""

_EQUALS = ("=", ":", "=>", ":=")
SCHEMES = ("bearer", "basic", "digest", "negotiate", "token")
_PIPED = 4
"""How many further commands of a pipeline are checked for one that reads a secret."""

SHELLS = frozenset(("sh", "bash", "dash", "zsh", "ksh", "ash", "su", "eval", "ssh", "busybox"))

_CLUSTER = re.compile(r"-[A-Za-z0-9#]*")
_SHELL_OPTION = re.compile(r"-[a-z]*c|--command")
_JSON = re.compile(r"\s*[\[{]\s*(?:[\"'\\{\[]|$)")
_ASSIGNED = re.compile(r"[\w-]+=(?=[\w-]+[ \t])")
_SPACE = re.compile(r"\s")
_QUOTED = re.compile(r"([\"'])(.*)\1([,;}\])]*)\Z", re.DOTALL)
_FOLLOWED = re.compile(rf"(?:^|[^a-z])(?:{'|'.join(FOLLOWED)})$")
_CONNECT = re.compile(r"([^/@\s=-][^/@\s=]*/)[^@\s]+")
_REMOTE = re.compile(r"([^:@/\s-][^:@/\s]*:)[^@/\s]+(?=@)")
_WATCHED = {name: tuple(name.split()) for name in (*LAST, *READERS, *ASSIGNED)}
_TOOLS_OF = {name: frozenset(name.split()) for name in TOOLS}
_PROGRAMS = frozenset(name.partition(" ")[0] for name in (*TOOLS, *LAST, *READERS))
_NAMED_PROGRAMS = frozenset(
    word
    for name in (
        *(*TOOLS, *LAST, *READERS, *ASSIGNED, *CONNECTED, *REMOTE),
        *(*LISTING["programs"], *SHELLS, "echo", "printf"),
    )
    for word in name.split()
)


class Arguments:
    """One command of a line. Its words are given in their order.

    Args:
        nested: Masks a word that holds several words.

    Attributes:
        into: The next command of the pipeline, which reads this command's output.
    """

    def __init__(self, nested: Nested) -> None:
        self.into: Arguments | None = None
        self._nested = nested
        self._seen: set[str] = set()
        self._secret = False
        self._option: Value | None = None
        self._shell = False
        self._verb = False
        self._identified = False
        self._variable = False
        self._basic = False
        self._generated = False
        self._sentence = ""
        self._count = 0

    @property
    def secret(self) -> bool:
        """Whether the next word is a secret."""
        return self._secret

    @property
    def reads_shell(self) -> bool:
        """Whether the command reads lines for a shell from its input."""
        return bool(self._seen & SHELLS)

    @property
    def reads_secret(self) -> bool:
        """Whether the command reads a secret from its input."""
        return bool(self._seen) and any(
            self._seen.issuperset(_WATCHED[program]) and (not option or option in self._seen)
            for program, option in READERS.items()
        )

    def passes_secret(self, further: int = _PIPED) -> bool:
        """Whether it reads a secret, or passes its input to a command that does, within ``further`` more."""
        into = self.into if further else None
        return self.reads_secret or (into is not None and into.passes_secret(further - 1))

    @property
    def prints(self) -> bool:
        """Whether the command prints its own arguments."""
        return bool(self._seen & {"echo", "printf"})

    def last_is_secret(self, arguments: int) -> bool:
        """Whether the last argument that is no option is a secret.

        Args:
            arguments: Number of words that are no options, with the program.
        """
        return arguments > 1 and any(
            self._seen.issuperset(_WATCHED[program])
            and (not option or any(self._has(word, option) for word in self._seen))
            and arguments > len(_WATCHED[program]) + LAST_BEHIND.get(program, 0)
            for program, option in LAST.items()
        )

    def is_option(self, word: str) -> bool:
        """Whether the word is an option, of most programs or of Windows' ``net``."""
        return word.startswith("-") or (word.startswith("/") and "net" in self._seen and word.count("/") == 1)

    @staticmethod
    def _has(word: str, option: str) -> bool:
        return _CLUSTER.fullmatch(word) is not None and option[1:] in word[1:]

    def shown(self, word: str) -> str:
        """Takes the next word and returns it as it may be shown.

        Args:
            word: The word without its quotes.
        """
        self._count += 1
        expected = self._expected(word)
        if expected is not None:
            return expected
        name = word.rpartition("/")[2]
        verb, self._verb = self._verb, word.lower() in LISTING["verbs"] and self._lists()
        if len(self._seen) < 64 and (name in _NAMED_PROGRAMS or (word.startswith("-") and self._seen)):
            self._seen.add(name if name in _NAMED_PROGRAMS else word[:64])
        attached = self._attached(word)
        if attached is not None:
            return attached
        self._shell = bool(self._seen & SHELLS) and (
            _SHELL_OPTION.fullmatch(word) is not None or word == "eval"
        )
        return self._text(word, verb=verb)

    def _expected(self, word: str) -> str | None:
        """The word as it may be shown, if the word before it says what it is; else None."""
        option, self._option = self._option, None
        shell, self._shell = self._shell, False
        variable, self._variable = self._variable, False
        by, self._identified = self._identified, word.lower() == "identified"
        basic, self._basic = self._basic, word.lower() == "basic"
        if basic and not self._secret and is_basic(word):
            return MASK
        if self._secret:
            return self._value(word)
        if option is not None:
            return self._of(option, word)
        if shell:
            return self._nested(word)
        named = (by and word.lower() == "by") or (variable and word in _EQUALS)
        if named or _FOLLOWED.search(word.lower()) or (self._sentence and word == self._sentence):
            self._secret = True
            self._sentence = ""
            return word
        return None

    def _lists(self) -> bool:
        return any(program in self._seen for program in LISTING["programs"])

    def _value(self, word: str) -> str:
        """The word as it may be shown in a place where a secret is expected."""
        if not word.strip(":=>") or word.lower() in SCHEMES:
            return word
        generated, self._generated = self._generated, False
        if generated and word.lower() in GENERATED["values"]:
            self._secret = False
            return word
        if word.startswith("-") and "passwd" in self._seen and self._count == 2:
            self._seen.add(word[:64])
            self._secret = False
            return word  # the word is the name of the program passwd
        # SQL: IDENTIFIED WITH plugin_password BY 'x'; SET PASSWORD FOR bob = 'x'
        self._secret = word.lower() == "by"
        self._sentence = "=" if word.lower() == "for" else ""
        return MASK

    def _text(self, word: str, *, verb: bool) -> str:
        """The word as it may be shown, when no option announces it."""
        if not _SPACE.search(word):
            return self._single(word, verb=verb)
        stripped = word.lstrip()
        shown = masked_values(stripped, whole=True)
        if shown.endswith(MASK) and _whole(stripped, shown):
            return word[: len(word) - len(stripped)] + shown
        if _JSON.match(word):
            return masked_values(word)
        word = masked_values(word) if "\n" in word and not self.reads_shell else word
        name = _ASSIGNED.match(word)
        return name[0] + self._nested(word[name.end() :]) if name else self._nested(word)

    def _single(self, word: str, *, verb: bool) -> str:
        """A word without blanks as it may be shown; it may be a name that a secret follows."""
        if word != "passwd" and word.rpartition("/")[2] in _PROGRAMS:
            return word  # the word is the name of a program
        self._variable = word.startswith("$") and bare_name(word[1:])
        if bare_name(word):
            self._secret = not verb or word.lower() not in LISTING["things"]
            self._generated = word.lower() in GENERATED["names"] and not self._seen.isdisjoint(
                GENERATED["programs"]
            )
            return word
        name, separator, scheme = word.rpartition(":")
        if separator and scheme.lower() in SCHEMES and bare_name(name + ":"):
            self._secret = True
            return word
        return self._inside(self._of_program(masked_values(word, whole=True)))

    def _of_program(self, word: str) -> str:
        """The word as it may be shown; some programs expect a secret in this place."""
        if word.startswith("-") or self._count < 2:
            return word
        if "=" in word and any(self._seen.issuperset(_WATCHED[program]) for program in ASSIGNED):
            name, _, value = word.partition("=")
            return f"{name}={MASK}" if value else word
        if not self._seen.isdisjoint(CONNECTED):
            return _behind(_CONNECT.match(word), word)
        if not self._seen.isdisjoint(REMOTE):
            return _behind(_REMOTE.match(word), word)
        return word

    def _inside(self, word: str) -> str:
        """Masks a word without blanks that holds operators: another program may pass it to a shell."""
        return self._nested(word) if re.search(r"[;|`]|\$\(", word) else word

    def _attached(self, word: str) -> str | None:
        """The word as it may be shown, if it is a known program's option, maybe with its value; else None."""
        for tool in self._tools(word):
            for option, value in TOOLS[tool].items():
                if word == option:
                    self._option = None if value is Value.ATTACHED else value
                    return word
                if option.startswith("--"):
                    if word.startswith(option + "="):
                        return option + "=" + self._of(value, word[len(option) + 1 :])
                elif len(option) == 2 and len(word) > 2 and _CLUSTER.match(word):
                    if word.startswith(option):
                        return option + self._of(value, word[2:])
                    if (
                        value is not Value.ATTACHED
                        and word.endswith(option[1])
                        and _CLUSTER.fullmatch(word)
                        and len(word) < 9
                    ):
                        self._option = value
                        return word
                elif len(option) > 2 and word.startswith(option) and value is Value.ATTACHED:
                    return option + MASK
        return None

    def _tools(self, word: str) -> list[str]:
        if not self._seen or not word.startswith(("-", "/")):
            return []
        if self._seen.isdisjoint(_PROGRAMS):
            return []
        return [tool for tool, words in _TOOLS_OF.items() if words <= self._seen]

    def _of(self, option: Value, word: str) -> str:
        """The value of an option as it may be shown."""
        if option is Value.SOURCE:
            return word if word.startswith(("env:", "fd:", "file:")) or word == "stdin" else MASK
        marks = {Value.COLON: ":", Value.COMMA: ",", Value.EQUALS: "=", Value.PERCENT: "%"}
        if option not in marks:
            return MASK
        before, mark, after = word.partition(marks[option])
        return before + mark + (MASK if after else "")


def _behind(found: re.Match[str] | None, word: str) -> str:
    return found[1] + MASK + word[found.end() :] if found else word


def _whole(text: str, shown: str) -> bool:
    """Whether everything behind the first name is masked."""
    return len(shown) > len(MASK) and text.startswith(shown[: -len(MASK)])


def requoted(raw: str, shown: str) -> str:
    """Quotes a word so that a shell reads it back, with the quotes that it had if these do.

    Args:
        raw: The word as it stood in the line.
        shown: The masked word, without quotes.
    """
    if shown == MASK:
        quoted = _QUOTED.match(raw)
        mark = "" if quoted else raw[len(raw.rstrip("=:,>")) :]
        return MASK + (quoted[3] if quoted else mark if len(mark) < len(raw) else "")
    quote = raw[:1]
    fits = quote == "'" or (quote == '"' and not any(character in shown for character in "\\`$"))
    if fits and len(raw) > 1 and raw.endswith(quote) and quote not in shown:
        return quote + shown + quote
    if re.fullmatch(r"[^\s'\"\\;&|<>()`$#]+", shown) or raw == shown:
        return shown
    return "'" + shown.replace("'", "'\"'\"'") + "'"
