"""Every sequence of answers costs a bounded number of attempts and a bounded time, on a clock of its own."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ClusterUnavailable
from shared.kube.api.errors import ApiError
from shared.kube.api.retries import passes, patiently, untouched
from shared.reasons import Reason
from tests.support.virtual_time import run

REPEAT_SECONDS, TIMEOUT_SECONDS = 6.0, 20.0
MOST_ATTEMPTS = 12
LEAST_PAUSE = 0.05


@dataclasses.dataclass(frozen=True)
class Scripted:
    """One answer: after so many seconds, with this status (0: none came; 200: success), asking for a wait."""

    seconds: float
    code: int
    wait: float | None = None

    @property
    def asked(self) -> float | None:
        """The wait that the answer asks for; there is none without an answer."""
        return self.wait if self.code else None

    def error(self) -> ClusterUnavailable:
        if not self.code:
            return ClusterUnavailable("not reached", reason=Reason.CLUSTER_UNREACHABLE)
        return ApiError(self.code, "No", "no", self.wait)


@dataclasses.dataclass
class Outcome:
    begun: list[float]
    ended: list[float]
    took: float
    error: ClusterUnavailable | None


def outcome_of(script: list[Scripted], *, safe: bool = True) -> Outcome:
    """What comes of a request whose answers are scripted; the last one stands for all that follow."""
    begun: list[float] = []
    ended: list[float] = []

    async def attempt() -> str:
        loop = asyncio.get_running_loop()
        answer = script[min(len(begun), len(script) - 1)]
        begun.append(loop.time())
        await asyncio.sleep(answer.seconds)
        ended.append(loop.time())
        if answer.code == 200:
            return "done"
        raise answer.error()

    async def work() -> ClusterUnavailable | None:
        try:
            await patiently(
                attempt,
                passes if safe else untouched,
                repeat_seconds=REPEAT_SECONDS,
                timeout_seconds=TIMEOUT_SECONDS,
            )
        except ClusterUnavailable as error:
            return error
        return None

    async def timed() -> Outcome:
        error = await work()
        return Outcome(begun, ended, asyncio.get_running_loop().time(), error)

    return run(timed())


WAITS = st.none() | st.floats(1, 86_400) | st.sampled_from([1.0, 5.9, 6.0, 6.1, 19.0, 86_400.0])
CODES = st.sampled_from([0, 200, 400, 403, 404, 409, 422, 429, 500, 502, 503, 504])
ANSWERS = st.builds(Scripted, seconds=st.just(0.0) | st.floats(0, 30), code=st.just(429) | CODES, wait=WAITS)


@given(script=st.lists(ANSWERS, min_size=1, max_size=40), safe=st.booleans())
def test_attempts_and_time_are_bounded_for_every_sequence_of_answers(
    script: list[Scripted], safe: bool
) -> None:
    outcome = outcome_of(script, safe=safe)
    assert len(outcome.begun) <= MOST_ATTEMPTS
    assert outcome.took <= TIMEOUT_SECONDS + 0.01
    assert outcome.begun[-1] <= REPEAT_SECONDS + 0.01
    for number, (end, again) in enumerate(zip(outcome.ended, outcome.begun[1:], strict=False)):
        assert again - end >= max(LEAST_PAUSE, script[min(number, len(script) - 1)].asked or 0) - 0.001
    if outcome.error is None:
        return
    last = script[min(len(outcome.begun), len(script)) - 1]
    if len(outcome.ended) == len(outcome.begun):
        assert outcome.took == outcome.ended[-1], "nobody waits for an attempt that is not made"
        assert outcome.error.retry_after_seconds == last.asked, "the wait is passed on"


@pytest.mark.parametrize("wait", [6.1, 20, 3600, 86_400])
def test_a_wait_beyond_the_time_left_is_an_answer_at_once(wait: float) -> None:
    outcome = outcome_of([Scripted(0, 503, wait)])
    assert (outcome.took, len(outcome.begun)) == (0, 1)
    assert outcome.error is not None
    assert outcome.error.retry_after_seconds == wait


def test_a_flood_of_refusals_is_answered_with_few_attempts() -> None:
    assert 5 <= len(outcome_of([Scripted(0, 500)]).begun) <= MOST_ATTEMPTS
    assert 2 <= len(outcome_of([Scripted(0, 429, 1.0)]).begun) <= 7


def test_what_may_have_been_done_is_not_repeated_and_what_was_refused_is() -> None:
    done = Scripted(0, 200)
    for code, attempts in ((429, 2), (500, 1), (503, 1), (0, 1), (404, 1)):
        assert len(outcome_of([Scripted(0, code), done], safe=False).begun) == attempts, code


def test_clients_that_fail_together_do_not_come_back_together() -> None:
    for wait in (None, 1.0):
        assert len({outcome_of([Scripted(0, 503, wait), Scripted(0, 200)]).begun[1] for _ in range(20)}) > 15


def test_a_server_that_stays_silent_is_given_up_with_its_last_words() -> None:
    silent = outcome_of([Scripted(1000, 200)])
    assert silent.took == TIMEOUT_SECONDS
    assert silent.error is not None
    assert silent.error.reason is Reason.CLUSTER_TIMEOUT
    told = outcome_of([Scripted(0, 503), Scripted(1000, 200)])
    assert isinstance(told.error, ApiError)
