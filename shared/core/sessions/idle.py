"""The idle rule: a session without use for its idle limit may be ended.

Use is what a caller begins in it (a command, a job, a file, a change, a keepalive) and what a caller keeps
running, until its end. Of what runs on without a caller, its pod is asked before it is ended
(``kube/pods/activity``): a process in it, or a job that has ended since, is use too. Looking at a session
is none.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from shared.core.sessions.model import Session

NOTED_SECONDS: Final = 30
"""Use is noted at most so often: a write costs more than it tells."""


def noted_lately(session: Session, now: datetime) -> bool:
    """Whether a use that is noted already says enough about one that happens now.

    It does within ``NOTED_SECONDS``, or half the idle limit where that is less: what is used is never
    found idle for want of a note.
    """
    age = (now - session.last_used_at).total_seconds()
    return age < min(NOTED_SECONDS, session.idle_seconds / 2)


def idle_since(session: Session, used_until: datetime, now: datetime) -> bool:
    """Whether the idle limit is over for a session that was used until then."""
    return used_until + timedelta(seconds=session.idle_seconds) <= now
