"""What only Firestore can do to us: lost answers, contention, refusals, silence."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from grpc import StatusCode

from shared.core.clusters.model import KnownConnection
from shared.errors import Conflict, GamguiError, InternalError, StoreUnavailable, VersionConflict
from shared.reasons import Reason
from shared.store.connections import connection_document
from shared.store.firestore.documents import FirestoreDocuments
from shared.store.jobs import job_document
from shared.store.requests import request_document
from shared.store.sessions import session_document
from tests.shared.store.samples import HERE, NOON, SetClock, a_job, a_record, a_session
from tests.support.faulty_firestore import Fault, FaultyFirestore
from tests.support.firestore_emulator import firestore_emulator
from tests.support.patience import PATIENCE
from tests.support.stores import FirestoreStore

AMBIGUOUS = [
    StatusCode.UNAVAILABLE,
    StatusCode.DEADLINE_EXCEEDED,
    StatusCode.ABORTED,
    StatusCode.INTERNAL,
    StatusCode.UNKNOWN,
    StatusCode.CANCELLED,
    StatusCode.RESOURCE_EXHAUSTED,
]


@pytest.fixture
async def firestore(firestore_host: str) -> AsyncIterator[FaultyFirestore]:
    yield FaultyFirestore(firestore_host)


@pytest.fixture
async def store(
    firestore: FaultyFirestore, firestore_project: str, clock: SetClock
) -> AsyncIterator[FirestoreStore]:
    async with firestore.serving() as host:
        store = FirestoreStore(project=firestore_project, emulator_host=host, clock=clock)
        yield store
        await store.close()


@pytest.mark.parametrize("code", AMBIGUOUS)
@pytest.mark.parametrize("applied", [True, False])
class TestLostAnswers:
    async def test_create_succeeds_once(
        self, store: FirestoreStore, firestore: FaultyFirestore, code: StatusCode, applied: bool
    ) -> None:
        firestore.faults = [Fault("Commit", code, applied=applied)]
        created = await store.create(a_session())
        assert firestore.faults == []
        assert await store.get(created.id) == created

    async def test_update_succeeds_once(
        self, store: FirestoreStore, firestore: FaultyFirestore, code: StatusCode, applied: bool
    ) -> None:
        created = await store.create(a_session())
        firestore.faults = [Fault("Commit", code, applied=applied)]
        updated = await store.update(dataclasses.replace(created, name="other"))
        assert updated.version != created.version
        assert await store.get(created.id) == updated

    async def test_first_request_stays_the_first(
        self, store: FirestoreStore, firestore: FaultyFirestore, code: StatusCode, applied: bool
    ) -> None:
        firestore.faults = [Fault("Commit", code, applied=applied)]
        first = a_record()
        assert (await store.begin_request(first)).resource_id == first.resource_id
        assert (await store.begin_request(a_record())).resource_id == first.resource_id

    async def test_taker_over_of_an_expired_record_is_the_first(
        self,
        store: FirestoreStore,
        firestore: FaultyFirestore,
        clock: SetClock,
        code: StatusCode,
        applied: bool,
    ) -> None:
        await store.begin_request(a_record())
        clock.pass_seconds(90_000)
        # The refused create first, then the takeover, whose answer is lost.
        firestore.faults = [Fault("Commit", code), Fault("Commit", code, applied=applied)]
        taker = a_record(expires_at=clock.now() + timedelta(days=1))
        assert (await store.begin_request(taker)).resource_id == taker.resource_id


class TestRealConflicts:
    async def test_conflict_behind_a_lost_call_is_a_conflict(
        self, store: FirestoreStore, firestore: FaultyFirestore
    ) -> None:
        created = await store.create(a_session())
        current = await store.update(created)
        firestore.faults = [Fault("Commit")]
        with pytest.raises(VersionConflict):
            await store.update(created)
        firestore.faults = [Fault("Commit")]
        with pytest.raises(Conflict) as caught:
            await store.create(created)
        assert caught.value.reason == Reason.SESSION_EXISTS
        assert await store.get(created.id) == current

    async def test_reads_are_repeated(self, store: FirestoreStore, firestore: FaultyFirestore) -> None:
        created = await store.create(a_session())
        firestore.faults = [Fault("BatchGetDocuments"), Fault("BatchGetDocuments"), Fault("RunQuery")]
        assert await store.get(created.id) == created
        assert await store.list_sessions(created.owner, state=None, limit=5, after=None) == [created]
        assert firestore.faults == []

    async def test_plain_write_is_one_call(self, store: FirestoreStore, firestore: FaultyFirestore) -> None:
        created = await store.create(a_session())
        await store.update(created)
        await store.begin_request(a_record())
        assert firestore.calls == ["BatchGetDocuments", "Commit", "Commit", "Commit"]  # counts, then creates


def calls_of(store: FirestoreStore) -> list[Callable[[], Awaitable[object]]]:
    """Every method that asks Firestore."""
    version = "2026-03-01T12:00:00.000001Z"
    session, record = a_session(version=version), a_record(version=version)
    return [
        lambda: store.create(session),
        lambda: store.due_sessions(NOON, limit=1, after=None),
        lambda: store.forgettable_sessions(NOON, limit=1),
        lambda: store.count_on_cluster("s", ""),
        lambda: store.sessions_on_cluster("s", "", limit=1),
        lambda: store.expired_requests(NOON, limit=1),
        lambda: store.get(session.id),
        lambda: store.update(session),
        lambda: store.list_sessions("alice@example.com", state=None, limit=1, after=None),
        lambda: store.begin_request(record),
        lambda: store.update_request(record),
        store.ping,
    ]


@pytest.mark.parametrize(
    ("code", "error", "reason"),
    [
        (StatusCode.PERMISSION_DENIED, StoreUnavailable, "STORE_FORBIDDEN"),
        (StatusCode.UNAUTHENTICATED, StoreUnavailable, "STORE_FORBIDDEN"),
        (StatusCode.NOT_FOUND, StoreUnavailable, "STORE_NOT_FOUND"),
        (StatusCode.FAILED_PRECONDITION, StoreUnavailable, "STORE_NOT_READY"),
        (StatusCode.UNAVAILABLE, StoreUnavailable, "STORE_UNAVAILABLE"),
        (StatusCode.ABORTED, StoreUnavailable, "STORE_UNAVAILABLE"),
        (StatusCode.UNIMPLEMENTED, StoreUnavailable, "STORE_UNAVAILABLE"),
        (StatusCode.DATA_LOSS, StoreUnavailable, "STORE_UNAVAILABLE"),
        (StatusCode.INVALID_ARGUMENT, InternalError, "STORE_REFUSED"),
    ],
)
async def test_refusal_is_told_in_our_words(
    firestore_host: str,
    firestore_project: str,
    clock: SetClock,
    code: StatusCode,
    error: type[GamguiError],
    reason: str,
) -> None:
    class Refusing(FaultyFirestore):
        def _due(self, method: str) -> Fault | None:
            return Fault(method, code)

    async with Refusing(firestore_host).serving() as host:
        store = FirestoreStore(project=firestore_project, emulator_host=host, clock=clock)
        results = await asyncio.gather(*(call() for call in calls_of(store)), return_exceptions=True)
        await store.close()
    for result in results:
        assert type(result) is error
        assert result.reason == reason
        assert "10.0.0.7" not in str(result)
        assert result.__cause__ is not None


class TestSilence:
    async def test_server_that_never_answers_is_given_up(
        self, store: FirestoreStore, firestore: FaultyFirestore
    ) -> None:
        await store.ping()
        firestore.always = Fault("Commit", hang=True)
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await store.create(a_session())
        assert time.monotonic() - started < PATIENCE

    async def test_silent_call_is_repeated_within_the_operation(
        self, store: FirestoreStore, firestore: FaultyFirestore
    ) -> None:
        firestore.faults = [Fault("BatchGetDocuments", hang=True)]
        await store.ping()
        assert firestore.calls == ["BatchGetDocuments"] * 2

    async def test_closed_port_is_unavailable(self, clock: SetClock) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            host = f"127.0.0.1:{unused.getsockname()[1]}"
            await everything_is_unavailable(FirestoreStore(project="p", emulator_host=host, clock=clock))

    async def test_port_that_accepts_and_says_nothing_is_unavailable(self, clock: SetClock) -> None:
        with socket.create_server(("127.0.0.1", 0)) as mute:
            host = f"127.0.0.1:{mute.getsockname()[1]}"
            await everything_is_unavailable(FirestoreStore(project="p", emulator_host=host, clock=clock))

    async def test_stopped_emulator_is_unavailable(self, firestore_host: str, clock: SetClock) -> None:
        own = {name: value for name, value in os.environ.items() if name != "FIRESTORE_EMULATOR_HOST"}
        with contextlib.ExitStack() as stack:
            host = await asyncio.to_thread(stack.enter_context, firestore_emulator(own))
            store = FirestoreStore(project="p", emulator_host=host, clock=clock)
            await store.ping()
            await asyncio.to_thread(stack.close)
        await everything_is_unavailable(store)


async def everything_is_unavailable(store: FirestoreStore) -> None:
    started = time.monotonic()
    results = await asyncio.gather(*(call() for call in calls_of(store)), return_exceptions=True)
    assert {type(result) for result in results} == {StoreUnavailable}
    assert time.monotonic() - started < PATIENCE
    await store.close()


class TestConstruction:
    async def test_argument_decides_not_the_librarys_variable(
        self, firestore_host: str, firestore_project: str
    ) -> None:
        """In a process of its own, whose FIRESTORE_EMULATOR_HOST leads nowhere."""
        program = f"""
import asyncio
from datetime import UTC, datetime
from tests.support.stores import FirestoreStore

class Clock:
    def now(self):
        return datetime.now(UTC)

async def main():
    store = FirestoreStore(
        project={firestore_project!r}, emulator_host={firestore_host!r}, clock=Clock()
    )
    await store.ping()
    await store.close()

asyncio.run(main())
"""
        environment = {**os.environ, "FIRESTORE_EMULATOR_HOST": "127.0.0.1:1"}
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-X", "dev", "-W", "error", "-c", program],
            env=environment,
            capture_output=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr.decode()

    async def test_without_credentials_the_way_to_some_is_told(self, tmp_path: Path) -> None:
        """In a process of its own, whose credentials file is missing."""
        program = """
import asyncio
from datetime import UTC, datetime
from shared.errors import StoreUnavailable
from tests.support.stores import FirestoreStore

class Clock:
    def now(self):
        return datetime.now(UTC)

async def main():
    store = FirestoreStore(project="", clock=Clock())
    try:
        await store.ping()
    except StoreUnavailable as error:
        print(error.reason, error.detail)
    await store.close()

asyncio.run(main())
"""
        environment = {**os.environ, "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "absent.json")}
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            timeout=PATIENCE,
        )
        assert done.stdout.startswith(b"STORE_FORBIDDEN "), done.stderr.decode()
        assert b"gcloud auth application-default login" in done.stdout
        assert str(tmp_path).encode() not in done.stdout

    async def test_emulator_needs_no_project(self, firestore_host: str, clock: SetClock) -> None:
        store = FirestoreStore(project="", emulator_host=firestore_host, clock=clock)
        await store.ping()
        await store.close()

    async def test_named_database_is_another_one(
        self, firestore_host: str, firestore_project: str, clock: SetClock
    ) -> None:
        default = FirestoreStore(project=firestore_project, emulator_host=firestore_host, clock=clock)
        named = FirestoreStore(
            project=firestore_project, database="other", emulator_host=firestore_host, clock=clock
        )
        created = await default.create(a_session())
        assert await named.get(created.id) is None
        await named.close()
        await default.close()


async def test_what_a_newer_release_has_stored_beside_stays_when_an_older_one_writes(
    store: FirestoreStore, firestore: FaultyFirestore, firestore_host: str, firestore_project: str
) -> None:
    """As in a deployment that goes from instance to instance: whose a session is must not be lost in it."""
    newer = {"colour": "green", "owners": {"first": "ann"}, "since": NOON, "often": 7, "never": None}
    raw = FirestoreDocuments(firestore_project, "(default)", firestore_host)
    session, record, job = a_session(labels={"a": "1", "b": "2"}, reason="Pending"), a_record(), a_job()
    connection = KnownConnection(id="default", cluster="europe", met=(HERE,), met_at=NOON)
    documents = {
        ("sessions", session.id): session_document(session),
        ("requests", record.key): request_document(record),
        ("jobs", job.id): job_document(job),
        ("connections", connection.id): connection_document(connection),
    }
    for (collection, name), document in documents.items():
        await raw.write(collection, name, {**document, **newer})
    stored = await store.get(session.id)
    assert stored is not None
    updated = await store.update(dataclasses.replace(stored, labels={"b": "3"}, reason=None))
    assert await store.get(session.id) == updated and updated.labels == {"b": "3"}
    taken = await store.begin_request(dataclasses.replace(record, resource_id="other"))
    await store.update_request(dataclasses.replace(taken, response="{}"))
    queued = await store.get_job(job.id)
    assert queued is not None
    await store.update_job(dataclasses.replace(queued, reason="none"))
    known = await store.connections.get(connection.id)
    assert known is not None
    await store.connections.put(dataclasses.replace(known, met=()))
    for collection, name in documents:
        found = await raw.read(collection, name)
        assert found is not None and found[0].items() >= newer.items()
    await raw.close()
