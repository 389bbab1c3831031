"""The session's states: the table of legal transitions, and what a transition changes."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.sessions.model import ENDED, TRANSITIONS, IllegalTransition, Session, SessionState
from shared.reasons import Reason
from tests.shared.store.samples import NOON, a_session, sessions

S = SessionState
# As the design states it: pending -> running -> deleting -> deleted; pending|running -> failed;
# failed -> deleting; and a session can be deleted while it starts. What nobody who sees its cluster has
# ended is lost.
LEGAL = {
    (S.PENDING, S.RUNNING),
    (S.PENDING, S.FAILED),
    (S.PENDING, S.DELETING),
    (S.RUNNING, S.FAILED),
    (S.RUNNING, S.DELETING),
    (S.FAILED, S.DELETING),
    (S.DELETING, S.DELETED),
    (S.PENDING, S.LOST),
    (S.RUNNING, S.LOST),
    (S.FAILED, S.LOST),
    (S.DELETING, S.LOST),
}
LATER = NOON + timedelta(minutes=1)


@pytest.mark.parametrize("target", S)
@pytest.mark.parametrize("source", S)
def test_a_state_leads_to_those_of_the_table_only(source: SessionState, target: SessionState) -> None:
    session = a_session(state=source)
    if (source, target) in LEGAL:
        assert session.to(target, LATER).state is target
    else:
        with pytest.raises(IllegalTransition) as caught:
            session.to(target, LATER)
        assert caught.value.status == 409
        assert caught.value.reason == Reason.SESSION_STATE
        assert caught.value.fields == {"session": session.id, "state": source}


def test_the_table_knows_every_state() -> None:
    assert set(TRANSITIONS) == set(S)
    assert {(source, target) for source, targets in TRANSITIONS.items() for target in targets} == LEGAL


@given(sessions, st.lists(st.sampled_from(S), max_size=12))
def test_whatever_is_tried_a_session_never_comes_back_from_its_end(
    session: Session, targets: list[SessionState]
) -> None:
    ended = session.state if session.state in ENDED else None
    for target in targets:
        if target in TRANSITIONS[session.state]:
            session = session.to(target, LATER)
        assert ended in (None, session.state)
        ended = session.state if session.state in ENDED else None


@given(sessions, st.sampled_from(S), st.none() | st.text(min_size=1))
def test_a_transition_changes_nothing_but_state_times_and_reason_and_an_end_forgets_variables(
    session: Session, target: SessionState, reason: str | None
) -> None:
    if target not in TRANSITIONS[session.state]:
        return
    changed = session.to(target, LATER, reason)
    assert changed.env == (session.env if changed.live else {})
    same = {"state", "reason", "env", "ready_at", "last_used_at", "deleted_at", "changed_at"}
    same |= {"failed_looks", "look_after"}
    assert (changed.failed_looks, changed.look_after) == (0, None)
    for field in dataclasses.fields(Session):
        if field.name not in same:
            assert getattr(changed, field.name) == getattr(session, field.name)
    assert changed.changed_at == LATER
    if target is S.RUNNING:
        assert (changed.ready_at, changed.last_used_at, changed.reason) == (LATER, LATER, None)
    else:
        assert changed.reason == (reason or session.reason)
    if target in ENDED:
        assert changed.deleted_at == LATER


def test_a_session_is_expired_from_its_end_on() -> None:
    session = a_session(expires_at=NOON)
    assert not session.expired(NOON - timedelta(microseconds=1))
    assert session.expired(NOON)


@given(sessions, st.lists(st.tuples(st.integers(0, 10**6), st.integers(60, 7200)), max_size=20))
def test_failed_looks_put_off_the_next_one_within_bounds_and_never_beyond_the_end(
    session: Session, failures: list[tuple[int, int]]
) -> None:
    natural = dataclasses.replace(session, look_after=None).check_at
    now, before = NOON, timedelta()
    session = dataclasses.replace(session, failed_looks=0, look_after=None)
    for seconds, most in failures:
        now += timedelta(seconds=seconds)
        session = session.look_failed(now, timedelta(seconds=most))
        assert session.look_after is not None
        wait = session.look_after - now
        assert timedelta(seconds=60) <= wait <= timedelta(seconds=most)
        assert wait >= min(before, timedelta(seconds=most))
        before = wait
        if natural is None:
            assert session.check_at is None
            continue
        assert session.check_at is not None
        if session.live or session.state is S.FAILED:
            assert session.check_at <= max(natural, session.expires_at)
        assert natural <= session.check_at <= max(natural, now + timedelta(seconds=most))
    used = session.used(now)
    assert (used.failed_looks, used.look_after, used.last_used_at) == (0, None, now)
