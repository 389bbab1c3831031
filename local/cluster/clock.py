"""Gives the time as the API writes it: RFC 3339 in UTC."""

from datetime import UTC, datetime, timedelta


def timestamp(after_s: float = 0) -> str:
    """Return now, plus some seconds, to the second: ``2026-01-02T03:04:05Z``."""
    return (datetime.now(UTC) + timedelta(seconds=after_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_timestamp() -> str:
    """Return now to the microsecond, the form of ``MicroTime`` fields."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def nano_timestamp() -> str:
    """Return now to the nanosecond, the form of log lines."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
