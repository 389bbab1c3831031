"""The calls that an operation makes to store and cluster, numbered as they come, and what fails."""

from __future__ import annotations

import asyncio
import dataclasses
import enum


class Kind(enum.StrEnum):
    """What goes wrong with a call."""

    CRASH = "crash"
    HANG = "hang"
    RESET = "reset"
    TORN = "torn"
    GARBAGE = "garbage"
    TOO_MANY = "429"
    EXPIRED_TOKEN = "401"
    CONFLICT = "409"
    GONE = "410"
    FAULT = "500"
    UNAVAILABLE = "503"
    ABORTED = "aborted"
    TOO_LATE = "deadline exceeded"


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, and where.

    Attributes:
        kind: ``CRASH`` holds the call for ever and says so: the test ends who made it.
        at: Number of the call, from 1.
        acted: The server does its work first; its answer is lost.
        lasting: All calls from there on are met alike.
    """

    kind: Kind
    at: int
    acted: bool = False
    lasting: bool = False

    def __str__(self) -> str:
        words = [self.kind, *(["acted"] if self.acted else []), *(["lasting"] if self.lasting else [])]
        return f"{' '.join(words)} at call {self.at}"


class Line:
    """Stands between one operation and everything that it calls.

    Args:
        fault: What goes wrong; nothing without one.

    Attributes:
        calls: What was called, in order.
        held: Is set once a call is held.
        open: Nothing more goes wrong.
    """

    def __init__(self, fault: Fault | None = None) -> None:
        self.fault = fault
        self.calls: list[str] = []
        self.held = asyncio.Event()
        self.open = False

    @property
    def met(self) -> bool:
        """Whether the operation came to the fault."""
        return self.fault is not None and len(self.calls) >= self.fault.at

    def arrives(self, call: str) -> Fault | None:
        """A call; returns what is to become of it."""
        self.calls.append(call)
        fault, number = self.fault, len(self.calls)
        if fault is None or self.open:
            return None
        lasting = fault.lasting or fault.kind is Kind.CRASH  # who is about to die gets no other call through
        return fault if number == fault.at or (lasting and number > fault.at) else None
