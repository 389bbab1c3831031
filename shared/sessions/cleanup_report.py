"""What one run of cleanup did, left and why."""

from __future__ import annotations

import dataclasses
import enum
from collections import Counter
from collections.abc import Iterator

from shared.sessions.model import Session

MAX_NAMED = 1000
"""So many things are named in a report; the counts are of all."""


class Action(enum.StrEnum):
    """What becomes of something that cleanup looks at."""

    DELETED = "deleted"
    FAILED = "failed"
    STARTED = "started"
    IN_USE = "in_use"
    WAITING = "waiting"
    LEFT = "left"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of one session, pod or secret.

    Attributes:
        kind: ``session``, ``pod`` or ``secret``.
        name: Its id or name.
        because: Why, for people.
    """

    kind: str
    name: str
    action: Action
    because: str


class Report:
    """What one run did. In a dry run: what it would have done.

    Args:
        dry_run: Nothing is changed.

    Attributes:
        decisions: The first of them.
        complete: Everything that is due was looked at.
    """

    def __init__(self, *, dry_run: bool) -> None:
        self.dry_run = dry_run
        self.complete = True
        self.decisions: list[Decision] = []
        self._counts: Counter[tuple[str, Action]] = Counter()
        self._forgotten: Counter[str] = Counter()

    def note(self, kind: str, name: str, action: Action, because: str) -> None:
        """Notes what became of something."""
        self._counts[kind, action] += 1
        if len(self.decisions) < MAX_NAMED:
            self.decisions.append(Decision(kind=kind, name=name, action=action, because=because))

    def session(self, session: Session, action: Action, because: str) -> None:
        """Notes what became of a session."""
        self.note("session", session.id, action, because)

    def forgot(self, what: str, number: int = 1) -> None:
        """Notes that old documents were removed: ``sessions`` or ``requests``."""
        self._forgotten[what] += number

    def counts(self) -> Iterator[tuple[str, str, int]]:
        """Kind, action and how many, of all that was noted."""
        for (kind, action), number in sorted(self._counts.items()):
            yield kind, action, number
        for what, number in sorted(self._forgotten.items()):
            yield what, "forgotten", number

    def count(self, kind: str, action: Action) -> int:
        """How many of one kind met one end."""
        return self._counts[kind, action]

    @property
    def forgotten(self) -> dict[str, int]:
        """How many old documents were removed, by what they were."""
        return {what: self._forgotten[what] for what in ("sessions", "requests")}
