"""Every act leaves a record, also one that fails where it might be forgotten."""

from __future__ import annotations

import pytest

from shared.core.audit.model import NO_SESSION
from shared.errors import ConnectionFailed, TooManyRequests
from tests.shared.core.sessions.test_service import NEW, TRUE, make_world
from tests.shared.store.samples import SetClock
from tests.support.people import ALICE
from tests.support.stores import SqliteStore


async def test_a_create_without_a_cluster(sqlite: SqliteStore, clock: SetClock) -> None:
    world = make_world(sqlite, clock)
    world.runtime.connect_error = ConnectionFailed("no source serves")
    with pytest.raises(ConnectionFailed):
        await world.service.create(ALICE, NEW)
    (record,) = world.audit.records
    assert (record.action, record.outcome) == ("session.create", "CLUSTER_CONNECTION_FAILED")
    assert record.session_id == NO_SESSION


async def test_a_command_is_announced_before_it_runs(sqlite: SqliteStore, clock: SetClock) -> None:
    world = make_world(sqlite, clock)
    session = await world.service.create(ALICE, NEW)
    events = world.service.execute(ALICE, session.id, TRUE)
    await anext(events)
    await events.aclose()
    (announced,) = world.audit.announced
    assert (announced.outcome, announced.detail["command"]) == ("started", "true")
    assert announced.detail["command_bytes"] == len("true") + 1
    assert "stdin_bytes" not in announced.detail  # nobody knows it yet
    assert world.audit.records[-1].id == announced.id
    assert world.audit.outcomes[-1] == ("session.exec", "cancelled")


async def test_a_command_too_many_is_recorded_and_never_was_announced(
    sqlite: SqliteStore, clock: SetClock
) -> None:
    world = make_world(sqlite, clock, slots=1)
    session = await world.service.create(ALICE, NEW)
    running = world.service.execute(ALICE, session.id, TRUE)
    await anext(running)
    with pytest.raises(TooManyRequests):
        await world.run(session)
    await running.aclose()
    assert len(world.audit.announced) == 1
    assert [outcome for _, outcome in world.audit.outcomes[1:]] == ["TOO_MANY_EXECS", "cancelled"]
