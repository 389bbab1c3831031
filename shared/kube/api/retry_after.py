"""Reads when a server asks to be asked again (RFC 9110, 10.2.3)."""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

LEAST_SECONDS = 1.0
"""Shortest wait that is told or kept: zero, or a time that has passed, is no invitation to a flood."""

LONGEST_SECONDS = 86_400.0
"""Longest wait that is told. Timers of browsers overflow after 25 days and would then not wait at all."""

_SECONDS = re.compile(r"[0-9]+", re.ASCII)
_MOST_DIGITS = 9


def seconds_to_wait(headers: Mapping[str, str], details: Any) -> float | None:
    """How long a server asks to wait.

    Args:
        headers: The answer's. A date in ``Retry-After`` is compared with the answer's own ``Date``, so that
            clocks may differ.
        details: ``Status.details`` of the answer's body. The API server says the wait there too, which
            proxies keep.

    Returns:
        Seconds between ``LEAST_SECONDS`` and ``LONGEST_SECONDS``; None when nothing is asked for, or
        nothing that can be read.
    """
    seconds = _in_header(headers.get("Retry-After", "").strip(), headers.get("Date", ""))
    if seconds is None and isinstance(details, dict):
        told = details.get("retryAfterSeconds")
        # Zero is how Go says that nothing was set.
        seconds = told if isinstance(told, int) and not isinstance(told, bool) and told > 0 else None
    return None if seconds is None else float(min(max(seconds, LEAST_SECONDS), LONGEST_SECONDS))


def _in_header(text: str, date: str) -> float | None:
    if _SECONDS.fullmatch(text):
        digits = text.lstrip("0")
        return LONGEST_SECONDS if len(digits) > _MOST_DIGITS else int(digits or "0")
    then = _time(text)
    return None if then is None else (then - (_time(date) or datetime.now(UTC))).total_seconds()


def _time(text: str) -> datetime | None:
    try:
        time = email.utils.parsedate_to_datetime(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
