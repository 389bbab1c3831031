"""The codec by itself: what it accepts of documents that it did not write."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from hypothesis import given

from shared.core.sessions.model import Session
from shared.core.sessions.ports import RequestRecord
from shared.errors import InternalError
from shared.reasons import Reason
from shared.store import documents
from shared.store.requests import request_document, request_from
from shared.store.sessions import session_document, session_from
from tests.shared.store.samples import NOON, a_session, records, sessions


@given(session=sessions)
def test_session_survives_json(session: Session) -> None:
    text = documents.to_json(session_document(session))
    assert session_from(documents.from_json(text), "") == session


@given(record=records)
def test_record_survives_json(record: RequestRecord) -> None:
    text = documents.to_json(request_document(record))
    assert request_from(documents.from_json(text), "") == record


def test_session_as_a_document() -> None:
    session = a_session(id="s1", version="7")
    assert session_document(session) == {
        "id": "s1",
        "owner": "alice@example.com",
        "name": "Monday's clean-up",
        "state": "pending",
        "image": "registry.example.com/gam:7",
        "resources": {"cpu": "500m", "memory": "512Mi"},
        "labels": {"team": "it", "example.com/cost-centre": "42"},
        "cluster": "europe",
        "namespace": "gamgui",
        "pod_name": "gam-s1",
        "created_at": NOON,
        "last_used_at": NOON,
        "expires_at": session.expires_at,
        "idle_seconds": 3600,
        "ready_at": None,
        "deleted_at": None,
        "changed_at": None,
        "purge_at": None,
        "reason": None,
        "virtual": False,
        "credentials": "",
        "failed_looks": 0,
        "connection": "",
        "cluster_identity": "kube-system:here",
        "may_be_left": "",
        "credentials_secret": "",
        "disk_bytes": None,
        "look_after": None,
        "credentials_choice": None,
        "env": "{}",
        "subject": "dev:alice@example.com",
        "check_at": NOON + timedelta(seconds=60),
        "on_cluster": True,
    }


def test_fields_of_a_newer_release_are_passed_over() -> None:
    session = a_session()
    document = {**session_document(session), "colour": "green", "write_id": "1"}
    assert session_from(document, "") == session


def test_fields_with_a_default_may_be_missing() -> None:
    session = a_session()
    document = session_document(session)
    for name in ("ready_at", "deleted_at", "changed_at", "purge_at", "reason", "virtual", "credentials"):
        del document[name]
    assert session_from(document, "") == session


@pytest.mark.parametrize(
    "change",
    [
        {"state": "resting"},
        {"credentials": 7},
        {"resources": None},
        {"created_at": "yesterday"},
        {"created_at": 7},
    ],
)
def test_document_that_is_no_session_is_told_without_its_content(change: dict[str, object]) -> None:
    document = {**session_document(a_session()), **change}
    with pytest.raises(InternalError) as caught:
        session_from(document, "")
    assert caught.value.reason == Reason.DOCUMENT_INVALID
    assert "yesterday" not in caught.value.detail


@pytest.mark.parametrize("text", ["", ".", "..", "a/b", "__a__", "ä" * 751, "\udcff"])
def test_text_that_no_store_takes_as_an_id(text: str) -> None:
    assert not documents.is_document_id(text)
    with pytest.raises(ValueError, match="id"):
        session_document(dataclasses.replace(a_session(), id=text))


@pytest.mark.parametrize("text", ["s1", "ä" * 750, "__a", "a b", "...", "create:alice@example.com"])
def test_text_that_every_store_takes_as_an_id(text: str) -> None:
    assert documents.is_document_id(text)
