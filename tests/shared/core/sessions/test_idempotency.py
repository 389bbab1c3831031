"""Idempotency keys: the first answer again, nothing twice, nothing stuck."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.core.ids import is_session_id, new_session_id
from shared.core.person import Person
from shared.core.sessions.idempotency import Created, Creation, IdempotentRequests
from shared.core.sessions.ports import RequestRecord
from shared.errors import (
    ClusterUnavailable,
    Conflict,
    GamguiError,
    InvalidRequest,
    NotFound,
    SessionStartFailed,
    StoreUnavailable,
    TooManyRequests,
    UnprocessableRequest,
    VersionConflict,
    error_from,
    members_of,
)
from shared.reasons import Reason
from tests.shared.store.samples import SetClock
from tests.support.people import ALICE, BOB
from tests.support.stores import SqliteStore

BODY = b'{"name":"x"}'


class Work:
    """Creates, or fails, as told, and notes under which ids."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.errors: list[Exception] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def create(self, resource_id: str) -> Created:
        self.ids.append(resource_id)
        await self.goes_on.wait()
        if self.errors:
            raise self.errors.pop(0)
        return 201, {"id": resource_id, "number": len(self.ids)}

    def creation(self, **more: Any) -> Creation:
        usual = {"operation": "session.create", "repeatable": False}
        return Creation(
            owner=more.pop("owner", ALICE),
            seconds=30,
            new_id=new_session_id,
            create=self.create,
            **{**usual, **more},
        )


@pytest.fixture
def requests(sqlite: SqliteStore, clock: SetClock) -> IdempotentRequests:
    return IdempotentRequests(sqlite, clock)


@pytest.fixture
def work() -> Work:
    return Work()


async def begun(requests: IdempotentRequests, work: Work, **more: Any) -> asyncio.Task[tuple[str, Created]]:
    """A request that is at work, until ``work.goes_on``."""
    work.goes_on.clear()
    before = len(work.ids)
    task = asyncio.create_task(requests.run("key", BODY, work.creation(**more)))
    while len(work.ids) == before and not task.done():
        await asyncio.sleep(0)
        await asyncio.wait({task}, timeout=0.01)
    return task


async def test_the_first_request_is_done_and_each_repetition_gets_its_answer(
    requests: IdempotentRequests, work: Work
) -> None:
    first = await requests.run("key", BODY, work.creation())
    assert is_session_id(first[0])
    assert first == (work.ids[0], (201, {"id": work.ids[0], "number": 1}))
    for _ in range(2):
        assert await requests.run("key", BODY, work.creation()) == first
    assert len(work.ids) == 1


async def test_without_a_key_each_request_is_done(requests: IdempotentRequests, work: Work) -> None:
    for number in (1, 2):
        assert (await requests.run(None, BODY, work.creation()))[1][1]["number"] == number
    assert len(set(work.ids)) == 2


class Noting:
    """A store that notes the records it is given."""

    def __init__(self, store: SqliteStore) -> None:
        self.records: list[RequestRecord] = []
        self._store = store

    async def begin_request(self, record: RequestRecord) -> RequestRecord:
        self.records.append(record)
        return await self._store.begin_request(record)

    async def update_request(self, record: RequestRecord) -> RequestRecord:
        self.records.append(record)
        return await self._store.update_request(record)


async def test_neither_key_nor_owner_nor_body_is_kept_in_clear(
    work: Work, sqlite: SqliteStore, clock: SetClock
) -> None:
    store = Noting(sqlite)
    await IdempotentRequests(store, clock).run("the-key", BODY, work.creation())
    for record in store.records:
        for secret in ("the-key", ALICE.email, ALICE.subject, '"x"'):
            assert secret not in repr(record)


async def test_nothing_is_kept_for_what_cannot_be_the_owners(
    work: Work, sqlite: SqliteStore, clock: SetClock
) -> None:
    async def absent() -> None:
        raise NotFound("there is no such session", reason=Reason.SESSION_NOT_FOUND)

    store = Noting(sqlite)
    for number in range(3):
        with pytest.raises(NotFound):
            await IdempotentRequests(store, clock).run(str(number), BODY, work.creation(require=absent))
    assert (store.records, work.ids) == ([], [])


async def test_another_body_under_the_key_is_refused_while_the_first_runs_and_after(
    requests: IdempotentRequests, work: Work
) -> None:
    first = await begun(requests, work)
    for _ in range(2):
        with pytest.raises(UnprocessableRequest) as caught:
            await requests.run("key", b"{}", work.creation())
        assert (caught.value.status, caught.value.reason) == (422, "IDEMPOTENCY_KEY_REUSED")
        work.goes_on.set()
        await first
    assert len(work.ids) == 1


async def test_a_repetition_while_the_first_runs_is_a_conflict_that_says_when_to_ask(
    requests: IdempotentRequests, work: Work, clock: SetClock
) -> None:
    first = await begun(requests, work)
    clock.pass_seconds(89)
    with pytest.raises(Conflict) as caught:
        await requests.run("key", BODY, work.creation())
    assert (caught.value.status, caught.value.reason) == (409, "REQUEST_IN_PROGRESS")
    assert caught.value.retry_after_seconds == 2
    work.goes_on.set()
    await first


async def test_when_the_first_has_died_a_repetition_goes_on_with_the_same_session(
    requests: IdempotentRequests, work: Work, clock: SetClock
) -> None:
    dead = await begun(requests, work)
    dead.cancel()
    clock.pass_seconds(90)
    taken = await begun(requests, work)
    assert work.ids[1] == work.ids[0]
    # And now it is that one which runs.
    with pytest.raises(Conflict):
        await requests.run("key", BODY, work.creation())
    work.goes_on.set()
    assert await requests.run("key", BODY, work.creation()) == await taken


async def test_of_several_repetitions_at_once_one_takes_over(
    requests: IdempotentRequests, work: Work, clock: SetClock
) -> None:
    (await begun(requests, work)).cancel()
    clock.pass_seconds(90)
    work.goes_on.set()
    tries = await asyncio.gather(
        *(requests.run("key", BODY, work.creation()) for _ in range(8)), return_exceptions=True
    )
    assert set(work.ids) == {work.ids[0]} and len(work.ids) == 2
    for one in tries:
        if isinstance(one, BaseException):
            assert isinstance(one, Conflict)
        else:
            assert one[0] == work.ids[0]
    assert not all(isinstance(one, Conflict) for one in tries)


async def test_of_several_first_requests_at_once_one_is_done(
    requests: IdempotentRequests, work: Work
) -> None:
    work.goes_on.clear()
    tries = [asyncio.create_task(requests.run("key", BODY, work.creation())) for _ in range(8)]
    while sum(one.done() for one in tries) < 7:
        await asyncio.wait(tries, return_when=asyncio.FIRST_COMPLETED, timeout=0.01)
    work.goes_on.set()
    ends = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, Conflict) for one in ends) == 7
    assert len(work.ids) == 1


OURS = [
    ClusterUnavailable("not reached"),
    StoreUnavailable("away"),
    GamguiError("a fault"),
    TooManyRequests("full", retry_after_seconds=30),
]
THEIRS = [
    SessionStartFailed("no such image", reason=Reason.IMAGE_UNAVAILABLE, session="s", tried=["a", "b"]),
    Conflict("not running", reason=Reason.SESSION_NOT_RUNNING, retry_after_seconds=3.2),
    VersionConflict("somebody was faster"),
    NotFound("no such session"),
    InvalidRequest(
        "a rule", reason=Reason.INVALID_FIELD, field="name", most=3, half=0.5, there=None, ok=True
    ),
]


@pytest.mark.parametrize("repeatable", [False, True])
@pytest.mark.parametrize("error", OURS, ids=lambda error: type(error).__name__)
async def test_a_failure_of_ours_frees_the_key_for_the_same_thing_where_that_does_nothing_twice(
    requests: IdempotentRequests, work: Work, error: GamguiError, repeatable: bool
) -> None:
    work.errors = [error]
    with pytest.raises(type(error)):
        await requests.run("key", BODY, work.creation(repeatable=repeatable))
    await requests.run("key", BODY, work.creation(repeatable=repeatable))
    assert (work.ids[0] == work.ids[1]) is repeatable


@pytest.mark.parametrize("error", THEIRS, ids=lambda error: type(error).__name__)
async def test_a_failure_for_good_is_raised_again_as_it_was(
    requests: IdempotentRequests, work: Work, error: GamguiError
) -> None:
    work.errors = [error]
    for _ in range(3):
        with pytest.raises(GamguiError) as caught:
            await requests.run("key", BODY, work.creation())
        assert members_of(caught.value) == members_of(error)
        assert isinstance(error, type(caught.value))
    assert len(work.ids) == 1


async def test_what_raises_something_else_has_died(
    requests: IdempotentRequests, work: Work, clock: SetClock
) -> None:
    work.errors = [ZeroDivisionError()]
    with pytest.raises(ZeroDivisionError):
        await requests.run("key", BODY, work.creation())
    clock.pass_seconds(90)
    assert (await requests.run("key", BODY, work.creation()))[0] == work.ids[0] == work.ids[1]


@pytest.mark.parametrize("error", [None, ClusterUnavailable("not reached"), NotFound("gone")])
async def test_a_request_that_was_taken_over_neither_answers_nor_frees_the_key(
    requests: IdempotentRequests, work: Work, clock: SetClock, error: GamguiError | None
) -> None:
    slow = await begun(requests, work)
    clock.pass_seconds(90)
    other = Work()
    taken = await begun(requests, other)
    work.errors = [error] if error else []
    work.goes_on.set()
    await asyncio.gather(slow, return_exceptions=True)
    with pytest.raises(Conflict):
        await requests.run("key", BODY, work.creation())
    other.goes_on.set()
    assert await requests.run("key", BODY, work.creation()) == await taken


@pytest.mark.parametrize(
    "apart",
    [{"owner": BOB}, {"owner": Person(subject="google:43", email=ALICE.email)}, {"operation": "job.start s"}],
    ids=["another person", "another subject with the address", "another operation"],
)
async def test_keys_of_different_persons_and_operations_never_meet(
    requests: IdempotentRequests, work: Work, apart: dict[str, Any]
) -> None:
    await requests.run("key", BODY, work.creation())
    assert (await requests.run("key", b"other", work.creation(**apart)))[1][1]["number"] == 2


async def test_a_key_is_forgotten_after_a_day(
    requests: IdempotentRequests, work: Work, clock: SetClock
) -> None:
    await requests.run("key", BODY, work.creation())
    clock.pass_seconds(24 * 3600 - 1)
    assert (await requests.run("key", BODY, work.creation()))[1][1]["number"] == 1
    clock.pass_seconds(1)
    assert (await requests.run("key", b"other", work.creation()))[1][1]["number"] == 2


async def test_an_answer_to_a_key_that_is_gone_is_dropped(
    requests: IdempotentRequests, work: Work, clock: SetClock
) -> None:
    slow = await begun(requests, work)
    clock.pass_seconds(24 * 3600)
    other = Work()
    await requests.run("key", b"other", other.creation())
    work.goes_on.set()
    assert (await slow)[0] == work.ids[0]
    assert (await requests.run("key", b"other", other.creation()))[0] == other.ids[0]


def test_a_problem_that_an_earlier_release_has_kept_is_raised_again() -> None:
    kept = {
        "session": "s",
        "type": "urn:gamgui:problem:image-unavailable",
        "title": "Session cannot start",
        "status": 422,
        "detail": "no such image",
        "instance": "/v1/sessions",
        "reason": "IMAGE_UNAVAILABLE",
        "request_id": "one",
    }
    error = error_from(kept)
    assert type(error) is SessionStartFailed
    assert (error.detail, error.reason, error.fields) == (
        "no such image",
        "IMAGE_UNAVAILABLE",
        {"session": "s"},
    )
    renamed = error_from({**kept, "title": "As it is called some day"})
    assert renamed.status == 422
