"""When a server asks to be asked again, in every form that a server may send."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kube.api.retry_after import LEAST_SECONDS, LONGEST_SECONDS, seconds_to_wait

NOON = "Wed, 25 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1", 1),
        ("007", 7),
        (" 30 ", 30),
        ("0", LEAST_SECONDS),
        ("000", LEAST_SECONDS),
        ("99999999999999999999", LONGEST_SECONDS),
        ("9" * 8000, LONGEST_SECONDS),
        ("Wed, 25 Nov 2026 12:00:20 GMT", 20),
        ("Wed, 25 Nov 2026 13:00:20 +0100", 20),
        ("Wednesday, 25-Nov-26 12:00:20 GMT", 20),
        ("Wed, 25 Nov 2026 11:00:00 GMT", LEAST_SECONDS),
        ("Thu, 01 Jan 1970 00:00:00 GMT", LEAST_SECONDS),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_SECONDS),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("1e9", None),
        ("nan", None),
        ("inf", None),
        ("Wed, 99 Nov 2026 99:99:99 GMT", None),
    ],
)
def test_a_wait_is_a_number_of_seconds_within_bounds_or_none(text: str, seconds: float | None) -> None:
    assert seconds_to_wait({"Retry-After": text, "Date": NOON}, None) == seconds


@pytest.mark.parametrize(
    ("header", "details", "seconds"),
    [
        ("", {"retryAfterSeconds": 7}, 7),
        ("3", {"retryAfterSeconds": 7}, 3),
        ("soon", {"retryAfterSeconds": 7}, 7),
        ("", {"retryAfterSeconds": 0}, None),
        ("", {"retryAfterSeconds": 10**30}, LONGEST_SECONDS),
        ("", {"retryAfterSeconds": True}, None),
        ("", {"retryAfterSeconds": -1}, None),
        ("", {"retryAfterSeconds": "7"}, None),
        ("", {"retryAfterSeconds": 1.5}, None),
        ("", {"retryAfterSeconds": []}, None),
        ("", "7", None),
    ],
)
def test_the_wait_is_in_the_status_too(header: str, details: Any, seconds: float | None) -> None:
    assert seconds_to_wait({"Retry-After": header}, details) == seconds


@given(
    header=st.text() | st.integers().map(str) | st.datetimes().map(lambda at: f"{at:%a, %d %b %Y %X GMT}"),
    date=st.text() | st.just(NOON),
    details=st.dictionaries(st.just("retryAfterSeconds"), st.integers() | st.text() | st.none()),
)
def test_whatever_is_sent_the_wait_is_within_bounds(header: str, date: str, details: dict[str, Any]) -> None:
    seconds = seconds_to_wait({"Retry-After": header, "Date": date}, details)
    assert seconds is None or LEAST_SECONDS <= seconds <= LONGEST_SECONDS
