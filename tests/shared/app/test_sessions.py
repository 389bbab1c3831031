"""What the use cases of sessions are given by the settings and by the machine."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import resource
from collections.abc import Iterator
from typing import Any

import pytest

from shared.app.sessions import streams
from shared.core.sessions.concurrency import Streams
from shared.errors import TooManyRequests
from shared.settings import Settings


@dataclasses.dataclass
class Operated:
    """What the limits on streams need of the composition root."""

    settings: Settings


@contextlib.contextmanager
def descriptors(most: int) -> Iterator[None]:
    """A context in which this process may open so many files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def room_in(limits: Streams) -> int:
    """How many streams there may be, each of another owner."""
    with contextlib.ExitStack() as taken:
        for number in itertools.count():
            try:
                taken.enter_context(limits.taken(f"{number}@example.com"))
            except TooManyRequests:
                return number
    raise AssertionError


@pytest.mark.parametrize(("files", "most", "room"), [(400, "1000", 100), (400, "7", 7), (101, "1000", 1)])
def test_all_streams_together_need_no_more_descriptors_than_there_are(
    files: int, most: str, room: int
) -> None:
    app: Any = Operated(Settings.from_env({"AUTH_MODE": "dev", "MAX_STREAMS": most}))
    with descriptors(files):
        limits = streams(app)
    assert room_in(limits) == room
