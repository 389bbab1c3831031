"""Sessions as JSON, pages of them, and the tokens between pages."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from shared.core.ids import new_session_id
from shared.core.paging import Cursor
from shared.core.sessions.model import Session, SessionState
from shared.errors import InvalidRequest
from shared.web.api.sessions import Listing, abandon, listing_of, page_json, session_json
from shared.web.http.paging import page_token
from tests.shared.store.samples import NOON, a_session, sessions
from tests.support.people import ALICE


def query(text: str) -> Listing:
    return listing_of(QueryParams(text), ALICE)


def test_a_page_begins_at_the_newest_and_holds_fifty_unless_said() -> None:
    assert query("") == Listing(ALICE.email, None, 50, None)
    assert query("page_token=") == Listing(ALICE.email, None, 50, None)
    assert query("state=running&page_size=200") == Listing(ALICE.email, SessionState.RUNNING, 200, None)


@pytest.mark.parametrize(
    ("asked", "owner"),
    [
        ("*", "*"),
        ("Bob@Example.com", "bob@example.com"),
        ("alice%40example.com", ALICE.email),
        (None, ALICE.email),
    ],
)
def test_whose_sessions_are_meant(asked: str | None, owner: str) -> None:
    assert query("" if asked is None else f"owner={asked}").owner == owner


@pytest.mark.parametrize("asked", ["", "bob", "**", "a@b@c", "a b@c", "x" * 400 + "@example.com", "%00@x"])
def test_what_is_nobodys_address_is_refused(asked: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        query(f"owner={asked}")
    assert (caught.value.reason, caught.value.fields["field"]) == ("INVALID_FIELD", "owner")


@pytest.mark.parametrize(("asked", "meant"), [("", False), ("abandon=false", False), ("abandon=true", True)])
def test_a_session_is_abandoned_only_where_the_query_says_so(asked: str, meant: bool) -> None:
    assert abandon(QueryParams(asked)) is meant


@pytest.mark.parametrize(
    "asked", ["abandon=", "abandon=1", "abandon=True", "abandon=true&abandon=true", "force=true"]
)
def test_what_may_mean_to_abandon_a_session_is_refused(asked: str) -> None:
    with pytest.raises(InvalidRequest):
        abandon(QueryParams(asked))


@given(st.datetimes(timezones=st.just(UTC)), st.builds(new_session_id))
def test_a_token_leads_back_to_where_the_page_ended(at: datetime, session_id: str) -> None:
    cursor = Cursor(at, session_id)
    token = page_token(cursor)
    assert token.isascii()
    assert query(str(QueryParams({"page_token": token}))).after == cursor


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_what_is_no_token_of_ours_is_refused(token: str) -> None:
    if not token:
        return
    with pytest.raises(InvalidRequest) as caught:
        listing_of(QueryParams({"page_token": token}), ALICE)
    assert (caught.value.reason, caught.value.fields["field"]) == ("INVALID_FIELD", "page_token")


AT, ID = NOON.isoformat(), "saaaaaaaaaaaaaaaa"


@pytest.mark.parametrize(
    "content",
    [
        [AT, ".."],
        [AT, "a/b"],
        [AT, ""],
        [AT, 5],
        [AT, "\ud800"],
        [AT, ID, ID],
        [AT.removesuffix("+00:00"), ID],
        ["2026-03-01T13:00:00.123457+01:00", ID],
        ["0001-01-01T00:00:00+23:59", ID],
        [1e308, ID],
        [None, ID],
        {"a": 1, "b": 2},
        "ab",
        7,
        None,
    ],
    ids=repr,
)
def test_a_token_with_other_contents_is_refused(content: object) -> None:
    token = base64.urlsafe_b64encode(json.dumps(content).encode()).decode()
    with pytest.raises(InvalidRequest):
        listing_of(QueryParams({"page_token": token}), ALICE)


def test_a_token_of_deep_nesting_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        listing_of(QueryParams({"page_token": base64.urlsafe_b64encode(b"[" * 30_000).decode()}), ALICE)


def test_a_changed_token_is_refused() -> None:
    token = page_token(Cursor(NOON, ID))
    for changed in (token[:-1], token + "=", "!" + token, token.replace("W", "V", 1)):
        with pytest.raises(InvalidRequest):
            listing_of(QueryParams({"page_token": changed}), ALICE)


def test_names_of_unknown_parameters_are_shown_bounded() -> None:
    text = "&".join(f"{'x' * 500}{number}=1" for number in range(20))
    with pytest.raises(InvalidRequest) as caught:
        query(text)
    shown = caught.value.fields["parameters"]
    assert isinstance(shown, list)
    assert len(shown) == 10
    assert all(len(name) == 100 for name in shown)


def test_a_page_has_a_token_unless_it_is_the_last() -> None:
    session = a_session()
    after = Cursor(session.created_at, session.id)
    assert page_json([session], None) == {"sessions": [session_json(session)]}
    assert page_json([session], after)["next_page_token"] == page_token(after)


@given(sessions)
def test_a_session_is_json_whatever_it_holds_and_lacks_what_is_not_known(session: Session) -> None:
    shown = session_json(session)
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    assert None not in shown.values()
    assert "version" not in shown


def test_times_are_rfc3339_in_utc() -> None:
    east = timezone(timedelta(hours=2))
    shown = session_json(a_session(ready_at=datetime(2026, 3, 1, 14, 0, 0, 5, tzinfo=east)))
    assert shown["created_at"] == "2026-03-01T12:00:00.123457Z"
    assert shown["ready_at"] == "2026-03-01T12:00:00.000005Z"
