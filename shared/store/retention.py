"""How long the database keeps documents that no cleanup removes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

KEPT = timedelta(days=400)
"""The age at which a TTL policy removes a job or an audit record. Most are removed earlier, with their
session. The policy is for those written after their session is gone, and those whose session was itself
removed by a policy."""

_LAST = datetime.max.replace(tzinfo=UTC) - KEPT


def kept_until(time: datetime) -> datetime:
    """The time from which the database may remove a document that was made at ``time``."""
    return min(time, _LAST) + KEPT
