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
        id: Random, see ``ids.new_record_id``; the log and the store have the same one.
        at: When it began.
        actor: E-mail address of who did it.
        actor_subject: ``Person.subject`` of the same; empty in records of an earlier release.
        session_id: ``NO_SESSION`` for what concerns none.
    """

    id: str
    at: datetime
    actor: str
    action: str
    session_id: str
    outcome: str
    detail: Mapping[str, str | int | None]
    """Flags are ``bool``, which is an ``int``."""

    actor_subject: str = ""
