"""Records of acts: one each, however the act ends, and kept before it counts as over."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from shared.core.audit.auditor import Auditor
from shared.core.audit.model import NO_SESSION, AuditRecord
from shared.errors import Conflict
from shared.reasons import Reason
from tests.shared.store.samples import NOON, SetClock, a_session
from tests.support.people import ALICE
from tests.support.scripted_runtime import KeptAudit


class SlowAudit(KeptAudit):
    """Keeps a record only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()

    async def announce(self, record: AuditRecord) -> None:
        await self.let.wait()
        await super().announce(record)

    async def record(self, record: AuditRecord) -> None:
        await self.let.wait()
        await super().record(record)


async def turns() -> None:
    """Lets all that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "done"),
        (Conflict("x", reason=Reason.SESSION_NOT_RUNNING), "SESSION_NOT_RUNNING"),
        (KeyError("x"), "INTERNAL"),
        (asyncio.CancelledError(), "cancelled"),
        (GeneratorExit(), "cancelled"),
    ],
)
async def test_an_act_is_recorded_once_whatever_ends_it(error: BaseException | None, outcome: str) -> None:
    kept, clock, session = KeptAudit(), SetClock(), a_session()
    expected = pytest.raises(type(error)) if error else contextlib.nullcontext()
    with expected:
        async with Auditor(kept, clock).act(session, ALICE, "session.x", {"path": "a"}) as act:
            act.detail["size"] = 7
            clock.pass_seconds(5)
            if error is not None:
                raise error
    (record,) = kept.records
    assert record == AuditRecord(
        id=record.id,
        at=NOON,
        actor=ALICE.email,
        actor_subject=ALICE.subject,
        action="session.x",
        session_id=session.id,
        outcome=outcome,
        detail={"path": "a", "size": 7},
    )


async def test_what_concerns_no_session_says_so() -> None:
    kept = KeptAudit()
    await Auditor(kept, SetClock()).record(None, ALICE, "credentials.put", "done", file="oauth2.txt")
    assert kept.records[0].session_id == NO_SESSION


async def test_an_announced_act_is_kept_as_started_and_then_with_its_outcome_under_one_id() -> None:
    kept = KeptAudit()
    async with Auditor(kept, SetClock()).act(a_session(), ALICE, "session.exec") as act:
        act.announce()
        await turns()
        assert (kept.announced[0].outcome, kept.records) == ("started", [])
        await act.end("exited")
        await act.end("a second end changes nothing")
    assert kept.records == [dataclasses.replace(kept.announced[0], outcome="exited")]


async def test_an_outcome_never_overtakes_its_announcement() -> None:
    kept = SlowAudit()
    async with Auditor(kept, SetClock()).act(a_session(), ALICE, "session.exec") as act:
        act.announce()
        ending = asyncio.create_task(act.end("exited"))
        await turns()
        assert not ending.done()
        kept.let.set()
        await ending
        assert len(kept.announced) == 1


async def test_nobody_waits_for_the_outcome_to_be_kept_but_the_end_of_the_act() -> None:
    kept = SlowAudit()

    async def work() -> None:
        async with Auditor(kept, SetClock()).act(a_session(), ALICE, "session.exec") as act:
            await act.end("exited")
            ended.set()

    ended = asyncio.Event()
    working = asyncio.create_task(work())
    await ended.wait()
    await turns()
    assert not working.done()
    kept.let.set()
    await working
    assert len(kept.records) == 1


async def _act(auditor: Auditor) -> None:
    async with auditor.act(a_session(), ALICE, "session.exec") as act:
        act.announce()
        await asyncio.Event().wait()


async def _record(auditor: Auditor) -> None:
    await auditor.record(a_session(), ALICE, "session.exec", "exited")


@pytest.mark.parametrize("work", [_act, _record])
async def test_a_record_is_kept_though_its_waiter_is_cancelled_again_and_again(
    work: Callable[[Auditor], Coroutine[Any, Any, None]],
) -> None:
    kept = SlowAudit()
    working = asyncio.create_task(work(Auditor(kept, SetClock())))
    for _ in range(3):
        await turns()
        working.cancel()
    await turns()
    assert not working.done()
    kept.let.set()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert len(kept.records) == 1
