"""Idempotency keys: the first answer again, nothing twice, nothing stuck."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from shared.core.ids import is_session_id, new_session_id
from shared.core.person import Person
from shared.core.sessions.idempotency import IdempotentRequests
from shared.core.sessions.ports import RequestRecord
from shared.errors import Conflict, UnprocessableRequest
from tests.shared.store.samples import SetClock
from tests.support.people import ALICE, BOB
from tests.support.stores import SqliteStore

BODY = b'{"name":"x"}'


@pytest.fixture
def requests(sqlite: SqliteStore, clock: SetClock) -> IdempotentRequests:
    return IdempotentRequests(sqlite, clock)


async def begin(requests: IdempotentRequests, owner: Person = ALICE, body: bytes = BODY) -> RequestRecord:
    return await requests.begin(
        owner, "session.create", "key", body, resource_id=new_session_id(), wait_seconds=30
    )


async def test_the_first_request_is_to_be_done(requests: IdempotentRequests) -> None:
    record = await begin(requests)
    assert record.response is None
    assert is_session_id(record.resource_id)
    assert "key" not in record.key
    assert ALICE.email not in record.key


async def test_a_repetition_gets_the_first_answer_again_and_again(requests: IdempotentRequests) -> None:
    await requests.finish(await begin(requests), 201, '{"id":"s"}')
    for _ in range(2):
        again = await begin(requests)
        assert (again.status, again.response) == (201, '{"id":"s"}')


async def test_another_body_under_the_key_is_refused_while_the_first_runs_and_after(
    requests: IdempotentRequests,
) -> None:
    first = await begin(requests)
    for _ in range(2):
        with pytest.raises(UnprocessableRequest) as caught:
            await begin(requests, body=b"{}")
        assert (caught.value.status, caught.value.reason) == (422, "IDEMPOTENCY_KEY_REUSED")
        await requests.finish(first, 201, "{}")


async def test_a_repetition_while_the_first_runs_is_a_conflict_that_says_when_to_ask(
    requests: IdempotentRequests, clock: SetClock
) -> None:
    await begin(requests)
    clock.pass_seconds(89)
    with pytest.raises(Conflict) as caught:
        await begin(requests)
    assert (caught.value.status, caught.value.reason) == (409, "REQUEST_IN_PROGRESS")
    assert caught.value.retry_after_seconds == 2


async def test_when_the_first_has_died_a_repetition_goes_on_with_the_same_session(
    requests: IdempotentRequests, clock: SetClock
) -> None:
    first = await begin(requests)
    clock.pass_seconds(90)
    taken = await begin(requests)
    assert (taken.resource_id, taken.response) == (first.resource_id, None)
    # And now it is that one which runs.
    with pytest.raises(Conflict):
        await begin(requests)
    await requests.finish(taken, 201, "{}")
    assert (await begin(requests)).status == 201


async def test_of_several_repetitions_at_once_one_takes_over(
    requests: IdempotentRequests, clock: SetClock
) -> None:
    first = await begin(requests)
    clock.pass_seconds(90)
    tries = await asyncio.gather(*(begin(requests) for _ in range(8)), return_exceptions=True)
    taken = [one for one in tries if isinstance(one, RequestRecord)]
    assert [one.resource_id for one in taken] == [first.resource_id]
    assert all(isinstance(one, Conflict) for one in tries if one is not taken[0])


async def test_of_several_first_requests_at_once_one_is_to_be_done(requests: IdempotentRequests) -> None:
    tries = await asyncio.gather(*(begin(requests) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(one, RequestRecord) for one in tries) == 1
    assert sum(isinstance(one, Conflict) for one in tries) == 7


async def test_a_released_key_is_free_for_the_same_request_and_makes_another_session(
    requests: IdempotentRequests,
) -> None:
    first = await begin(requests)
    await requests.release(first, new_session_id())
    second = await begin(requests)
    assert second.response is None
    assert second.resource_id != first.resource_id


async def test_a_request_that_was_taken_over_neither_answers_nor_releases_the_key(
    requests: IdempotentRequests, clock: SetClock
) -> None:
    slow = await begin(requests)
    clock.pass_seconds(90)
    taken = await begin(requests)
    await requests.finish(slow, 500, '"slow"')
    await requests.release(slow, new_session_id())
    with pytest.raises(Conflict):
        await begin(requests)
    await requests.finish(taken, 201, '"taken"')
    assert (await begin(requests)).response == '"taken"'


async def test_keys_of_different_owners_never_meet(requests: IdempotentRequests) -> None:
    await requests.finish(await begin(requests), 201, '"alice"')
    other = await begin(requests, owner=BOB, body=b"other")
    assert other.response is None


async def test_a_key_is_forgotten_after_a_day(requests: IdempotentRequests, clock: SetClock) -> None:
    await requests.finish(await begin(requests), 201, "{}")
    clock.pass_seconds(24 * 3600 - 1)
    assert (await begin(requests)).status == 201
    clock.pass_seconds(1)
    assert (await begin(requests, body=b"other")).response is None


async def test_an_answer_to_a_key_that_is_gone_is_dropped(
    requests: IdempotentRequests, clock: SetClock
) -> None:
    record = dataclasses.replace(await begin(requests), key="0" * 64)
    await requests.finish(record, 201, "{}")
    await requests.release(record, new_session_id())
