"""An audit record: who did what to which session, and how it ended."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime

NO_SESSION = "-"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """Who did what to which session, and how it ended. It never holds stdin, credentials or tokens.

    Attributes:
        id: Random id, from ``ids.new_record_id``, the same in the log and in the store.
        at: When the act began.
        actor: E-mail address of the person who acted.
        actor_subject: ``Person.subject`` of that person; empty in records of an earlier release.
        session_id: Id of the session; ``NO_SESSION`` for an act that concerns no session.
    """

    id: str
    at: datetime
    actor: str
    action: str
    session_id: str
    outcome: str
    detail: Mapping[str, str | int | None]
    """Further facts. Flags are ``bool``, which is an ``int``."""

    actor_subject: str = ""
