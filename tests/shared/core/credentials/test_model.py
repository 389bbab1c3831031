"""What a credential file must be, and what is said of one that is not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.credentials.model import NAMES, CredentialFile, checked_file, require_name
from shared.errors import InvalidRequest, NotFound
from shared.reasons import Reason
from tests.support.gam_files import CLIENT_ID, gam_files

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FILES = {name: json.loads(data) for name, data in gam_files("hidden").items()}
CLIENT = FILES["client_secrets.json"]["installed"]
ACCOUNT, TOKENS = FILES["oauth2service.json"], FILES["oauth2.txt"]


def without(content: dict[str, Any], field: str) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key != field}


@pytest.mark.parametrize("name", NAMES)
def test_gams_own_files_are_kept_byte_by_byte_and_not_shown(name: str) -> None:
    data = gam_files("hidden")[name]
    file = checked_file(name, data, NOON)
    assert (file.name, file.data, file.updated_at) == (name, data, NOON)
    assert "hidden" not in repr(file)
    assert "hidden" not in str(file.identifiers())
    assert file.identifiers()["client_id"] in (CLIENT_ID, "110000000000000000001")


@pytest.mark.parametrize("key_type", ["yubikey", "signjwt"])
def test_a_key_that_is_elsewhere_need_not_be_in_the_file(key_type: str) -> None:
    content = {**without(ACCOUNT, "private_key"), "key_type": key_type}
    file = checked_file("oauth2service.json", json.dumps(content).encode(), NOON)
    assert file.identifiers()["project_id"] == "gam-project-1"


@pytest.mark.parametrize(
    ("name", "content", "field"),
    [
        ("client_secrets.json", {}, "installed"),
        ("client_secrets.json", {"web": CLIENT}, "installed"),
        ("client_secrets.json", {"installed": []}, "installed"),
        ("client_secrets.json", {"installed": without(CLIENT, "client_id")}, "installed.client_id"),
        ("client_secrets.json", {"installed": without(CLIENT, "client_secret")}, "installed.client_secret"),
        ("client_secrets.json", {"installed": {**CLIENT, "project_id": 7}}, "installed.project_id"),
        ("client_secrets.json", {"installed": {**CLIENT, "client_id": "a" * 257}}, "installed.client_id"),
        ("oauth2.txt", without(TOKENS, "client_id"), "client_id"),
        ("oauth2.txt", {**TOKENS, "client_id": "a\n"}, "client_id"),
        ("oauth2.txt", without(TOKENS, "client_secret"), "client_secret"),
        ("oauth2.txt", {**TOKENS, "refresh_token": ""}, "refresh_token"),
        ("oauth2.txt", {**TOKENS, "refresh_token": None}, "refresh_token"),
        ("oauth2service.json", {**ACCOUNT, "type": "authorized_user"}, "type"),
        ("oauth2service.json", without(ACCOUNT, "private_key"), "private_key"),
        ("oauth2service.json", {**ACCOUNT, "private_key": "hidden"}, "private_key"),
        ("oauth2service.json", without(ACCOUNT, "client_email"), "client_email"),
        ("oauth2service.json", without(ACCOUNT, "project_id"), "project_id"),
        ("oauth2service.json", FILES["oauth2.txt"], "type"),
    ],
)
def test_a_file_without_what_gam_needs_is_refused_by_the_fields_name(
    name: str, content: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        checked_file(name, json.dumps(content).encode(), NOON)
    assert (caught.value.reason, caught.value.fields) == ("CREDENTIALS_INVALID", {"field": field})
    assert caught.value.detail.startswith(field)
    assert "hidden" not in caught.value.detail


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"[]",
        b'"x"',
        b"null",
        b'{"a":',
        b"\xff{}",
        b"{}{}",
        b"[" * 60_000,
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b'{"a": NaN}',
        b'{"a": "\\ud800"}',
        b'{"a": ' + b"1" * 5000 + b"}",
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_json_object_is_refused(name: str, data: bytes) -> None:
    with pytest.raises(InvalidRequest, match=f"{name} is not a JSON object") as caught:
        checked_file(name, data, NOON)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["installed", "type", "client_id", "private_key", "key_type"]) | st.text(), inner
        )
    ),
)


@given(st.sampled_from(NAMES), st.binary() | _json.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_sent_is_kept_or_refused_and_never_breaks(name: str, data: bytes) -> None:
    try:
        file = checked_file(name, data, NOON)
    except InvalidRequest as error:
        assert error.reason == Reason.CREDENTIALS_INVALID
        assert CredentialFile(name, data, NOON).identifiers() == {}
    else:
        assert file.identifiers()["client_id"]


def test_other_names_are_no_credential_files() -> None:
    assert [require_name(name) for name in NAMES] == list(NAMES)
    for name in ("", "OAUTH2.TXT", "oauth2.txt\n", "../oauth2.txt", "gam.cfg"):
        with pytest.raises(NotFound) as caught:
            require_name(name)
        assert caught.value.reason == Reason.CREDENTIALS_FILE_UNKNOWN
