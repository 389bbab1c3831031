"""What every store does with jobs: the same tests on SQLite and on Firestore's emulator."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given

from shared.core.ids import new_session_id
from shared.core.jobs.model import Job, JobState
from shared.core.paging import Cursor
from shared.errors import Conflict, VersionConflict
from shared.reasons import Reason
from tests.shared.store.samples import NOON, a_job, jobs
from tests.shared.store.test_contract import failures, many, succeeded
from tests.support.stores import Store


async def test_a_created_job_is_read_back_with_its_version(store: Store) -> None:
    created = await store.create_job(a_job())
    assert created.version
    assert await store.get_job(created.id) == created


async def test_a_second_create_of_an_id_is_a_conflict_and_changes_nothing(store: Store) -> None:
    created = await store.create_job(a_job())
    with pytest.raises(Conflict) as caught:
        await store.create_job(dataclasses.replace(created, name="other"))
    assert caught.value.reason == Reason.JOB_EXISTS
    assert await store.get_job(created.id) == created


@pytest.mark.parametrize("job_id", ["jaaaaaaaaaaaaaaaa", "", ".", "..", "a/b", "__x__", "\ud800"])
async def test_an_absent_job_is_none_whatever_the_id(store: Store, job_id: str) -> None:
    assert await store.get_job(job_id) is None


async def test_an_update_replaces_everything_and_uses_the_version_up(store: Store) -> None:
    created = await store.create_job(a_job())
    changed = dataclasses.replace(created, state=JobState.EXITED, exit_code=3, ended_at=NOON)
    updated = await store.update_job(changed)
    assert await store.get_job(created.id) == updated
    assert (updated.exit_code, updated.version != created.version) == (3, True)
    for late in (created, dataclasses.replace(updated, id="jaaaaaaaaaaaaaaaa"), a_job(version="nonsense")):
        with pytest.raises(VersionConflict):
            await store.update_job(late)


async def test_of_updates_at_once_one_succeeds(store: Store) -> None:
    created = await store.create_job(a_job())
    tries = [store.update_job(dataclasses.replace(created, exit_code=code)) for code in range(8)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    (winner,) = succeeded(results)
    assert failures(results) == {VersionConflict}
    assert await store.get_job(created.id) == winner


async def test_a_job_is_removed_only_as_it_was_seen(store: Store) -> None:
    created = await store.create_job(a_job())
    updated = await store.update_job(dataclasses.replace(created, exit_code=1))
    await store.remove_job(created)
    await store.remove_job(dataclasses.replace(created, version="nonsense"))
    assert await store.get_job(created.id) == updated
    await store.remove_job(updated)
    assert await store.get_job(created.id) is None
    await store.remove_job(updated)


async def test_jobs_of_a_session_are_listed_newest_first_page_by_page(store: Store) -> None:
    session_id = new_session_id()
    made = [
        await store.create_job(a_job(session_id=session_id, created_at=NOON + timedelta(seconds=n // 2)))
        for n in (3, 0, 4, 1, 2)
    ]
    await store.create_job(a_job())
    expected = sorted(made, key=lambda job: (job.created_at, job.id), reverse=True)
    assert list(await store.list_jobs(session_id, limit=10, after=None)) == expected
    found: list[Job] = []
    after = None
    while page := await store.list_jobs(session_id, limit=2, after=after):
        found += page
        after = Cursor(page[-1].created_at, page[-1].id)
    assert found == expected


async def test_two_instances_see_the_same_jobs(new_store: Callable[[], Store]) -> None:
    one, other = new_store(), new_store()
    created = await one.create_job(a_job())
    assert await other.get_job(created.id) == created


@given(job=jobs)
@many
async def test_every_job_survives_the_store_exactly(store: Store, job: Job) -> None:
    created = await store.create_job(job)
    assert dataclasses.replace(created, version="") == job
    assert await store.get_job(job.id) == created
