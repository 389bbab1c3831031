"""The idle rule: cleanup may end a session that was not used for its idle limit.

What a caller begins in the session is use (a command, a job, a file, a change, a keepalive), and what a
caller keeps running is use until its end. Work may also go on without a caller. So cleanup asks the pod
before it ends the session (``kube/pods/activity``): a process in the pod is use, and so is a job that has
ended since the last use. To look at a session is not use.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from shared.core.sessions.model import Session

NOTED_SECONDS: Final = 30
"""Shortest time between two notes of use, in seconds: more writes would cost more than they tell."""


def noted_lately(session: Session, now: datetime) -> bool:
    """Whether the last noted use is so recent that a use at ``now`` needs no note.

    It is when it is younger than ``NOTED_SECONDS`` and than half the idle limit. So a session in use is
    never found idle because a note is missing.
    """
    age = (now - session.last_used_at).total_seconds()
    return age < min(NOTED_SECONDS, session.idle_seconds / 2)


def idle_since(session: Session, used_until: datetime, now: datetime) -> bool:
    """Whether the idle limit is over at ``now`` for a session that was last used at ``used_until``."""
    return used_until + timedelta(seconds=session.idle_seconds) <= now
