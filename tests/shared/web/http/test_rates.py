"""The limit of requests: what gets through in any span of time, and what is told to those that do not."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import JSONResponse, Response

from shared.errors import TooManyRequests
from shared.web.http.call import Call
from shared.web.http.rates import MAX_BUCKETS, RequestRates
from shared.web.http.routing import Route
from tests.support.web_app import WebApp, ask, serving

SECOND = 1_000_000_000
ALICE, BOB = "alice@example.com", "bob@example.com"


class Clock:
    """Nanoseconds, as a test sets them."""

    def __init__(self, now: int = 0) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def taken(rates: RequestRates, owner: str = ALICE, function: str = "exec_command") -> bool:
    try:
        rates.take(owner, function)
    except TooManyRequests:
        return False
    return True


def wait_of(rates: RequestRates, owner: str = ALICE) -> float:
    with pytest.raises(TooManyRequests) as caught:
        rates.take(owner, "exec_command")
    assert (caught.value.status, caught.value.reason) == (429, "TOO_MANY_REQUESTS")
    assert caught.value.retry_after_seconds is not None
    return caught.value.retry_after_seconds


def test_a_burst_gets_through_and_then_as_many_as_come_back() -> None:
    clock = Clock(17)
    rates = RequestRates(per_minute=60, burst=5, clock=clock)
    assert [taken(rates) for _ in range(7)] == [True] * 5 + [False] * 2
    assert wait_of(rates) == 1.0
    clock.now += SECOND // 2
    assert wait_of(rates) == 0.5
    clock.now += SECOND // 2
    assert [taken(rates), taken(rates)] == [True, False]
    clock.now += 3600 * SECOND
    assert [taken(rates) for _ in range(7)] == [True] * 5 + [False] * 2


def test_owners_and_functions_have_buckets_of_their_own() -> None:
    rates = RequestRates(per_minute=1, burst=1, clock=Clock())
    for owner, function in itertools.product((ALICE, BOB), ("exec_command", "get_session")):
        assert [taken(rates, owner, function), taken(rates, owner, function)] == [True, False]


_gaps = st.lists(st.integers(0, 3 * SECOND), max_size=60)


@given(_gaps, st.integers(1, 100_000), st.integers(1, 20), st.integers(0, 2**63))
def test_in_no_span_of_time_more_get_through_than_a_full_bucket_and_what_comes_back(
    gaps: list[int], per_minute: int, burst: int, start: int
) -> None:
    clock = Clock(start)
    rates = RequestRates(per_minute=per_minute, burst=burst, clock=clock)
    through: list[int] = []
    for gap in gaps:
        clock.now += gap
        if taken(rates):
            through.append(clock.now)
    for first, last in itertools.combinations_with_replacement(range(len(through)), 2):
        minutes_by_rate = (through[last] - through[first]) * per_minute / (60 * SECOND)
        assert last - first + 1 <= burst + minutes_by_rate + 1e-6


@given(_gaps, st.integers(1, 100_000), st.integers(1, 20))
def test_who_waits_as_long_as_he_is_told_gets_through_and_who_does_not_wait_does_not(
    gaps: list[int], per_minute: int, burst: int
) -> None:
    clock = Clock()
    rates = RequestRates(per_minute=per_minute, burst=burst, clock=clock)
    for gap in gaps:
        clock.now += gap
        if not taken(rates):
            wait = round(wait_of(rates) * SECOND)
            assert 0 < wait <= 60 * SECOND // per_minute + 1
            clock.now += wait - 1
            assert not taken(rates)
            clock.now += 1
            assert taken(rates)


@given(st.integers(1, 100_000), st.integers(1, 20))
def test_who_keeps_to_the_rate_is_never_refused(per_minute: int, burst: int) -> None:
    clock = Clock()
    rates = RequestRates(per_minute=per_minute, burst=burst, clock=clock)
    for _ in range(50):
        assert taken(rates)
        clock.now += 60 * SECOND // per_minute + 1


def test_the_number_of_buckets_is_bounded_and_those_go_that_were_used_longest_ago() -> None:
    rates = RequestRates(per_minute=1, burst=1, clock=Clock())
    assert taken(rates, "first@example.com")
    for number in range(MAX_BUCKETS - 1):
        assert taken(rates, f"{number}@example.com")
    assert not taken(rates, "first@example.com")  # refused requests do not count as use
    assert taken(rates, "one-more@example.com")
    assert taken(rates, "first@example.com")
    assert not taken(rates, "one-more@example.com")


# In the endpoint.


async def _told(call: Call) -> Response:
    return JSONResponse({"caller": call.caller.email})


ROUTES = [Route("GET", "/things", _told), Route("GET", "/open", _told, public=True)]


async def test_a_request_too_many_is_429_and_says_when_to_try_again() -> None:
    rates = RequestRates(per_minute=40, burst=2, clock=Clock())
    application = serving(ROUTES, lambda: WebApp(rates=rates))
    assert [(await ask(application, "/things")).status_code for _ in range(3)] == [200, 200, 429]
    answer = await ask(application, "/things")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "2"
    assert (answer.json()["reason"], answer.json()["retry_after_seconds"]) == ("TOO_MANY_REQUESTS", 2)
    other = await ask(application, "/things", headers={"X-Dev-User": BOB})
    assert other.status_code == 200


async def test_who_needs_no_identity_is_not_counted_and_who_has_none_counts_for_nobody() -> None:
    rates = RequestRates(per_minute=1, burst=1, clock=Clock())
    application = serving(ROUTES, lambda: WebApp(rates=rates))
    for _ in range(3):
        assert (await ask(application, "/open")).status_code == 200
        assert (await ask(application, "/things", headers={"X-Dev-User": ""})).status_code == 401
    assert (await ask(application, "/things")).status_code == 200
