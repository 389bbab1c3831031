"""Whether work is linear: CPU time for input of the largest size that is admitted, against half of it."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import itertools
import time
from collections.abc import Callable, Iterator
from re import _constants as codes
from re import _parser
from typing import Any

from shared.errors import GamguiError

FLOOR_SECONDS = 0.003
FLOOR_SECONDS_A_CHARACTER = 50e-9
"""What takes less is no trouble, too short to be measured, and far from what is quadratic."""

RATIO = 3.3
"""Twice the input takes twice as long when it is linear, and four times as long when it is quadratic."""

_ATTEMPTS = 5

_MMAP_MAX, _TRIM_THRESHOLD = -4, -1
_USUAL_MAPPED, _USUAL_KEPT_BYTES, _ALL_BYTES = 65536, 128 * 1024, 2**31 - 1


def seconds(work: Callable[[], object], runs: int = 2) -> float:
    """CPU time of the fastest of some runs. What the work refuses, it has worked on."""
    best = float("inf")
    for _ in range(runs):
        begin = time.process_time()
        with contextlib.suppress(GamguiError, ValueError, KeyError):
            work()
        best = min(best, time.process_time() - begin)
    return best


def loop(text: str) -> int:
    """Looks at each character once: what other work on a text is measured by."""
    seen = 0
    for character in text:
        if character == "\0":
            seen += 1
    return seen


@contextlib.contextmanager
def _memory_kept() -> Iterator[None]:
    """Has the C library keep what is freed, so that no run but the first pays for pages of the kernel's.

    glibc takes a block beyond 32 MiB from the kernel each time, and gives it back: a step, and no growth.
    Source: mallopt(3). Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        yield
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, _ALL_BYTES)
    try:
        yield
    finally:
        mallopt(_MMAP_MAX, _USUAL_MAPPED)
        mallopt(_TRIM_THRESHOLD, _USUAL_KEPT_BYTES)


@_memory_kept()
def require_linear(work: Callable[[Any], object], make: Callable[[int], Any], bound: int, what: str) -> None:
    """Fails when the work on the largest input is more than ``RATIO`` times that on half of it.

    Small inputs come first, so that what is exponential fails before it takes long. A machine that is
    busy is asked again.

    Args:
        work: Takes what ``make`` makes.
        make: Makes an input of a size.
        bound: The largest size.
        what: For people.
    """
    for size in (min(bound, 20), bound // 64, bound // 8, bound):
        floor = max(FLOOR_SECONDS, size * FLOOR_SECONDS_A_CHARACTER)
        half, whole = make(size // 2), make(size)
        long = seconds(functools.partial(work, whole), 1)
        for attempt in range(1, _ATTEMPTS + 1):
            if long <= floor:
                break
            gc.collect(0)
            short = seconds(functools.partial(work, half), attempt)
            if long <= RATIO * short:
                break
            long = seconds(functools.partial(work, whole), attempt + 1)
        else:
            raise AssertionError(f"{what}: {size} take {long:.4f} s, {size // 2} take {short:.4f} s")


def repeated(part: str, begin: str = "", end: str = "\0") -> Callable[[int], str]:
    """Makes ``begin``, the part again and again, and ``end``."""

    def make(size: int) -> str:
        return begin + part * max(1, (size - len(begin) - len(end)) // len(part)) + end

    return make


def attacks(pattern: str, flags: int = 0) -> Iterator[tuple[str, str, str]]:
    """What makes a backtracking engine work: how an expression begins, what it repeats, and no match.

    For every repetition in it: what leads there and the repeated part, in its first and its last form
    and in both by turns; and the whole of what it matches, which makes a search begin again and again.

    Yields:
        Beginning, part that is repeated, end.
    """
    tree = _parser.parse(pattern, flags)
    found: dict[tuple[str, str, str], None] = {}
    for picks in itertools.product((False, True), repeat=2):
        lead = _Sample(picks[0])
        lead.of(tree)
        for before, body in lead.pumps:
            other = _Sample(picks[1])
            part = other.of(body)
            if part:
                found |= dict.fromkeys([(before, part, "\0"), ("", before + part, "\0"), (before, part, "")])
        if lead.text:
            found |= dict.fromkeys([("", lead.text, "\0"), ("", lead.text[:-1] or lead.text, "\0")])
    yield from found


class _Sample:
    """A text that an expression matches, taking the first or the last of each choice."""

    def __init__(self, last: bool) -> None:
        self._last = last
        self.text = ""
        self.pumps: list[tuple[str, Any]] = []

    def of(self, tree: Any) -> str:
        """Adds what the tree matches and returns all of the text."""
        for code, argument in tree:
            self._one(code, argument)
        return self.text

    def _one(self, code: Any, argument: Any) -> None:
        if code is codes.LITERAL:
            self.text += chr(argument)
        elif code is codes.NOT_LITERAL:
            self.text += "a" if argument != ord("a") else "b"
        elif code is codes.ANY:
            self.text += "a"
        elif code is codes.IN:
            self.text += self._of_class(argument)
        elif code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            least, most, body = argument
            if most > 16:
                self.pumps.append((self.text, body))
            for _ in range(min(least, 40) or (1 if self._last else 0)):
                self.of(body)
        elif code is codes.SUBPATTERN:
            self.of(argument[-1])
        elif code is codes.ATOMIC_GROUP:
            self.of(argument)
        elif code is codes.BRANCH:
            self.of(argument[1][-1 if self._last else 0])

    def _of_class(self, members: Any) -> str:
        negated = members[0][0] is codes.NEGATE
        if negated:
            excluded = {argument for code, argument in members if code is codes.LITERAL}
            return next(
                letter for letter in ("é;" if self._last else "a0b") + "xyz" if ord(letter) not in excluded
            )
        code, argument = members[-1 if self._last else 0]
        if code is codes.LITERAL:
            return chr(argument)
        if code is codes.RANGE:
            return chr(argument[-1 if self._last else 0])
        return " " if argument is codes.CATEGORY_SPACE else "0" if self._last else "a"
