"""The routes of an address that changes hands: who may, which addresses and subjects there are."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp

from functions.owners.main import ROUTES as OWNERS
from shared.app.composition import App
from shared.identity.claims import google_subject, iap_subject, known_subject
from shared.settings import Settings
from tests.shared.store.samples import a_session
from tests.support.web_app import ask, serving

ROOT = {"X-Dev-User": "root@example.com"}
BOB = "bob@example.com"
SUBJECT = {"subject": "google:42"}


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    environment = {
        "AUTH_MODE": "dev",
        "SESSION_STORE": "sqlite",
        "SESSION_IMAGE": "gam:7",
        "SQLITE_PATH": str(tmp_path / "sessions.db"),
        "USE_MOCK_CONTAINER_ADAPTER": "true",
        "ADMIN_EMAILS": "Root@example.com",
    }
    app = App(Settings.from_env(environment))
    yield app
    await app.close()


@pytest.fixture
def application(app: App) -> ASGIApp:
    import functions.owners.main as module

    vars(module)["app"] = lambda: app
    return serving(OWNERS, lambda: app)


async def rebind(
    application: ASGIApp, email: str, body: Any = SUBJECT, headers: dict[str, str] = ROOT
) -> tuple[int, dict[str, Any]]:
    path = f"/v1/owners/{quote(email, safe='')}/rebind"
    answer = await ask(application, path, method="POST", headers=headers, json=body)
    return answer.status_code, json.loads(answer.text)


async def remove(
    application: ASGIApp, email: str, headers: dict[str, str] = ROOT
) -> tuple[int, dict[str, Any]]:
    path = f"/v1/owners/{quote(email, safe='')}/credentials"
    answer = await ask(application, path, method="DELETE", headers=headers)
    return answer.status_code, json.loads(answer.text)


async def test_an_administrator_passes_on_and_removes_under_the_address_in_lower_case(
    app: App, application: ASGIApp
) -> None:
    await app.store.sessions.create(a_session(owner="bob+x@example.com"))
    passed = {"owner": "bob+x@example.com", **SUBJECT, "credentials": [], "complete": True}
    assert await rebind(application, "BOB+x@Example.com") == (200, {**passed, "sessions": 1})
    assert await rebind(application, "bob+x@example.com") == (200, {**passed, "sessions": 0})
    assert await remove(application, "BOB+x@Example.com") == (
        200,
        {"owner": "bob+x@example.com", "removed": []},
    )


@pytest.mark.parametrize("email", [BOB, "no address", "a" * 400, "root@example.com"])
async def test_for_anybody_else_it_is_forbidden_whatever_is_asked_for(
    application: ASGIApp, email: str
) -> None:
    other = {"X-Dev-User": BOB}
    for status, problem in (
        await remove(application, email, other),
        await rebind(application, email, SUBJECT, other),
        await rebind(application, email, {"nonsense": 1}, other),
    ):
        assert (status, problem["reason"]) == (403, "NOT_AN_ADMINISTRATOR")


@pytest.mark.parametrize(
    "email", ["bob", "@", "bob@", "a b@example.com", "b\n@x", "x" * 320 + "@x", "é@\u202ex"]
)
async def test_what_is_no_address_is_refused(application: ASGIApp, email: str) -> None:
    for status, problem in (await remove(application, email), await rebind(application, email)):
        assert (status, problem["reason"], problem["field"]) == (400, "INVALID_FIELD", "email")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "MISSING_FIELD"),
        ({"subject": 42}, "WRONG_TYPE"),
        ({"subject": ""}, "INVALID_FIELD"),
        ({"subject": "google:" + "4" * 400}, "FIELD_TOO_LONG"),
        ({"subject": "42"}, "INVALID_FIELD"),
        ({"subject": "google:"}, "INVALID_FIELD"),
        ({"subject": "google:4 2"}, "INVALID_FIELD"),
        ({"subject": "dev:bob"}, "INVALID_FIELD"),
        ({"subject": "cleanup"}, "INVALID_FIELD"),
        ({**SUBJECT, "owner": "x"}, "UNKNOWN_FIELD"),
    ],
    ids=str,
)
async def test_who_cannot_be_is_nobodys_next_owner(
    application: ASGIApp, body: dict[str, object], reason: str
) -> None:
    status, problem = await rebind(application, BOB, body)
    assert (status, problem["reason"]) == (400, reason)


@given(account=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=255))
def test_every_subject_of_an_identity_is_known_as_it_is(account: str) -> None:
    for subject in (google_subject(account), iap_subject(account), iap_subject(f"x{account}"[:255])):
        known = known_subject(subject)
        assert known == subject or "accounts.google.com:" in subject


@given(text=st.text())
def test_a_known_subject_is_in_the_normal_form(text: str) -> None:
    google = "accounts.google.com:"
    tails = (text, f"{google}{text}", f"{google}{google}{text}", f"{text}@example.com")
    for subject in (text, *(f"{kind}:{tail}" for kind in ("google", "iap", "dev") for tail in tails)):
        known = known_subject(subject)
        assert known is None or known_subject(known) == known


def test_one_person_has_one_name_however_it_is_written() -> None:
    for text in ("google:42", "google:accounts.google.com:42", "iap:accounts.google.com:42"):
        assert known_subject(text) == "google:42"
    assert known_subject("dev:Ann@Example.com") == "dev:ann@example.com"
    assert known_subject("iap:securetoken.google.com/p:7") == "iap:securetoken.google.com/p:7"
