"""Sessions, records and a clock for the tests of the stores."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from shared.core.clusters.model import ClusterIdentity
from shared.core.credentials.model import NAMES
from shared.core.ids import new_job_id, new_session_id
from shared.core.jobs.model import Job, JobState
from shared.core.sessions.model import Resources, Session, SessionState
from shared.core.sessions.names import pod_name
from shared.core.sessions.ports import RequestRecord

NOON = datetime(2026, 3, 1, 12, 0, 0, 123457, tzinfo=UTC)
RETENTION = timedelta(days=30)


@dataclasses.dataclass(slots=True)
class SetClock:
    """A clock that the test sets."""

    time: datetime = NOON

    def now(self) -> datetime:
        return self.time

    def pass_seconds(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


HERE = ClusterIdentity(kube_system="here", namespace="in-here")
"""The cluster of sessions that do not say otherwise."""


def a_session(**changes: Any) -> Session:
    session_id = changes.pop("id", None) or new_session_id()
    session = Session(
        id=session_id,
        owner="alice@example.com",
        name="Monday's clean-up",
        state=SessionState.PENDING,
        image="registry.example.com/gam:7",
        resources=Resources(cpu="500m", memory="512Mi"),
        labels={"team": "it", "example.com/cost-centre": "42"},
        cluster="europe",
        namespace="gamgui",
        pod_name=pod_name(session_id),
        created_at=NOON,
        last_used_at=NOON,
        expires_at=NOON + timedelta(hours=8),
        idle_seconds=3600,
        cluster_identity="" if changes.get("virtual") else HERE.text,
    )
    changed = dataclasses.replace(session, **changes)
    return changed if "subject" in changes else dataclasses.replace(changed, subject=f"dev:{changed.owner}")


def a_job(**changes: Any) -> Job:
    job = Job(
        id=changes.pop("id", None) or new_job_id(),
        session_id=new_session_id(),
        owner="alice@example.com",
        name="File lists",
        command=("gam", "print", "users"),
        state=JobState.QUEUED,
        created_at=NOON,
        timeout_seconds=60.5,
    )
    return dataclasses.replace(job, **changes)


def a_record(**changes: Any) -> RequestRecord:
    record = RequestRecord(
        key="create-0123456789abcdef",
        fingerprint="f" * 64,
        resource_id=new_session_id(),
        lease_until=NOON + timedelta(seconds=60),
        expires_at=NOON + timedelta(days=1),
    )
    return dataclasses.replace(record, **changes)


_text = st.text(max_size=60)  # without surrogates, which UTF-8 does not have
# Up to a session's longest idle limit before the end of time, as that is added to it.
_times = st.datetimes(max_value=datetime(9900, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
_label_keys = st.from_regex(
    r"([a-z][-a-z0-9]{0,10}\.example/)?[A-Za-z0-9][-A-Za-z0-9_.]{0,20}[a-z]", fullmatch=True
)

sessions = st.builds(
    Session,
    id=st.builds(new_session_id),
    owner=_text,
    name=_text,
    state=st.sampled_from(SessionState),
    image=_text,
    resources=st.builds(Resources, cpu=_text, memory=_text),
    labels=st.dictionaries(_label_keys, _text, max_size=4),
    cluster=_text,
    namespace=_text,
    pod_name=_text,
    created_at=_times,
    last_used_at=_times,
    expires_at=_times,
    idle_seconds=st.integers(min_value=0, max_value=2**31 - 1),
    ready_at=st.none() | _times,
    deleted_at=st.none() | _times,
    changed_at=st.none() | _times,
    purge_at=st.none() | _times,
    reason=st.none() | _text,
    virtual=st.booleans(),
    credentials=st.lists(st.sampled_from(NAMES), unique=True).map(tuple),
    failed_looks=st.integers(min_value=0, max_value=10**6),
    look_after=st.none() | _times,
    credentials_choice=st.none() | st.lists(st.sampled_from(NAMES), unique=True).map(tuple),
    env=st.dictionaries(_text, _text, max_size=4),
    connection=_text,
    cluster_identity=_text,
    may_be_left=st.lists(st.from_regex(r"(pod|secret)/[a-z0-9-]{1,20}", fullmatch=True), max_size=3).map(
        tuple
    ),
    credentials_secret=_text,
    version=st.just(""),
)

jobs = st.builds(
    Job,
    id=st.builds(new_job_id),
    session_id=_text,
    owner=_text,
    name=_text,
    command=_text | st.lists(_text, max_size=4).map(tuple),
    state=st.sampled_from(JobState),
    exit_code=st.none() | st.integers(min_value=0, max_value=255),
    signal=st.none() | _text,
    reason=st.none() | _text,
    stdout_bytes=st.integers(min_value=0, max_value=2**53),
    stderr_bytes=st.integers(min_value=0, max_value=2**53),
    created_at=_times,
    started_at=st.none() | _times,
    ended_at=st.none() | _times,
    timeout_seconds=st.none() | st.floats(min_value=0.1, max_value=1e9),
    version=st.just(""),
)

records = st.builds(
    RequestRecord,
    key=st.builds(new_session_id),
    fingerprint=_text,
    resource_id=_text,
    lease_until=_times,
    expires_at=_times,
    response=st.none() | _text,
    status=st.none() | st.integers(min_value=100, max_value=599),
    version=st.just(""),
)
