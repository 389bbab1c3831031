"""How long the database itself keeps what nobody removes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

KEPT = timedelta(days=400)
"""After that a TTL policy removes a job or an audit record. Most go before, with their session; this is for
those that come when their session has gone already, or was removed by its own policy."""

_LAST = datetime.max.replace(tzinfo=UTC) - KEPT


def kept_until(time: datetime) -> datetime:
    """When the database may remove what was made at this time."""
    return min(time, _LAST) + KEPT
