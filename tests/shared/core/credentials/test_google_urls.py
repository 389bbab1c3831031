"""GAM sends secrets to the addresses in its credential files: none is anybody's but Google's."""

from __future__ import annotations

import json
import posixpath
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.credentials.model import NAMES, checked_file
from shared.errors import InvalidRequest
from shared.reasons import Reason
from tests.support.gam_files import gam_files

FILES = {name: json.loads(data) for name, data in gam_files("hidden").items()}
FIELDS = [
    "token_uri", "auth_uri", "auth_provider_x509_cert_url", "client_x509_cert_url", "revoke_uri",
    "token_info_uri", "service_account_impersonation_url", "other_uri", "other_url", "url", "Token_Uri",
    " token_uri ", "sts_endpoint", "device_uris",
]  # fmt: skip
GOOGLES = [
    "https://oauth2.googleapis.com/token", "https://accounts.google.com/o/oauth2/auth",
    "https://accounts.google.com/o/oauth2/v2/auth", "https://www.googleapis.com/oauth2/v1/certs",
    "https://www.googleapis.com/robot/v1/metadata/x509/gam%40gam-project-1.iam.gserviceaccount.com",
    "https://oauth2.mtls.googleapis.com/token", "https://www.googleapis.com/oauth2/v4/token",
    "https://accounts.google.com/o/oauth2/token", "https://sts.googleapis.com/v1/token",
    "https://accounts.google.com/o/oauth2/revoke", "https://www.googleapis.com/oauth2/v3/tokeninfo",
    "https://openidconnect.googleapis.com/v1/userinfo", "https://www.googleapis.com/oauth2/v3/certs",
]  # fmt: skip
FOREIGN: list[Any] = [
    "http://oauth2.googleapis.com/token", "https://evil.example/token",
    "https://oauth2.googleapis.com.evil.example/",
    "https://oauth2.googleapis.com@evil.example/token", "https://evil.example\\@oauth2.googleapis.com/token",
    "https://evil.example#@oauth2.googleapis.com/", "https://user:pass@oauth2.googleapis.com/token",
    "https://oauth2.googleapis.com:8443/token", "https://oauth2.googleapis.com:443/token",
    "https://oauth2.googleapis.com./token", "https://evilgoogleapis.com/token",
    "https://googleapis.com.evil.io",
    "https://\u043eauth2.googleapis.com/token", "https://oauth2.googleapis\u3002com/token",
    "//oauth2.googleapis.com/",
    "https:/\\oauth2.googleapis.com/token",
    "https:\\\\oauth2.googleapis.com/token",
    " https://oauth2.googleapis.com/",
    "https://oauth2.googleapis.com/token\n", "https://oauth2.googleapis.com/to ken",
    "https://oauth2.google.com\t/",
    "https://oauth2.googleapis.com/\r\nHost: evil.example", "ftp://oauth2.googleapis.com/",
    "file:///etc/passwd", "",
    "oauth2.googleapis.com/token", "https://google.com/url?q=https://evil.example", "https://127.0.0.1/token",
    "https://storage.googleapis.com/bucket/token", "https://bucket.storage.googleapis.com/token",
    "https://firebasestorage.googleapis.com/v0/b/x",
    "https://www.googleapis.com/storage/v1/b/x/o/y?alt=media",
    "https://storage-upload.googleapis.com/x/y", "https://storage-download.googleapis.com/x/y",
    "https://www.googleapis.com/oauth2/../upload/storage/v1/b/x/o?uploadType=media&name=y",
    "https://www.googleapis.com/oauth2/%2e%2E/storage/v1/b/x/o/y?alt=media",
    "https://www.googleapis.com/oauth2/..%2fstorage/v1/b/x/o",
    "https://www.googleapis.com/%73torage/v1/b/x/o/y", "https://www.googleapis.com/./storage/v1/b/x/o/y",
    "https://www.googleapis.com/resumable/upload/storage/v1/b/x/o", "https://www.googleapis.com/drive/v3/files",
    "https://storage-x.p.googleapis.com/x", "https://x.p.googleapis.com/token",
    "https://firestore.googleapis.com/v1/projects/x", "https://translate.googleapis.com/translate?u=x",
    "https://pubsub.googleapis.com/v1/projects/x/topics/y:publish", "https://x-y.googleapis.com/",
    "https://www.googleapis.com/oauth2/../storage/v1/b/x/o/y", "https://www.googleapis.com/./storage/v1/b/x",
    "https://www.googleapis.com/a/%2e%2E/storage/v1/b/x", "https://www.googleapis.com/%73torage/v1/b/x",
    "https://www.googleapis.com/oauth2/..", "https://www.googleapis.com/a%2F../storage/v1/b/x",
    "https://accounts.google.com/Logout?continue=//evil.example/", "https://oauth2.googleapis.com/token?",
    "https://accounts.google.com.evil.example/", "https://accounts.google.com:1/", "https://[::1]/token",
    "https://.googleapis.com/token", "https://oauth2..googleapis.com/token",
    "https://evil.example/.googleapis.com/",
    None, 7, True, [], {}, ["https://oauth2.googleapis.com/token"], {"a": "https://oauth2.googleapis.com/token"},
]  # fmt: skip


def put(name: str, content: Any) -> None:
    checked_file(name, json.dumps(content).encode(), datetime(2026, 3, 1, tzinfo=UTC))


def refused(name: str, content: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        put(name, content)
    assert caught.value.reason == Reason.CREDENTIALS_INVALID
    assert "evil" not in caught.value.detail


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("field", FIELDS)
def test_every_address_in_every_file_and_depth_is_googles(name: str, field: str) -> None:
    content = FILES[name]
    for value in GOOGLES:
        put(name, {**content, field: value, "extra": {"deeper": [{field: value}]}})
    for value in FOREIGN:
        refused(name, {**content, field: value})
        refused(name, {**content, "extra": {"deeper": [[{field: value}]]}})
        if name == "client_secrets.json":
            refused(name, {"installed": {**content["installed"], field: value}})


@pytest.mark.parametrize(
    "value", ["evil.example", "googleapis.com.", "GOOGLEAPIS.COM", "x.googleapis.com", "", None]
)
def test_the_universe_is_googles(value: Any) -> None:
    content = FILES["oauth2service.json"]
    put("oauth2service.json", {**content, "universe_domain": "googleapis.com"})
    refused("oauth2service.json", {**content, "universe_domain": value})


@given(st.sampled_from(GOOGLES), st.data())
def test_no_character_put_into_an_address_leads_elsewhere(url: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, url.index("/", 8) + 1))
    character = data.draw(
        st.sampled_from("\\@#:?.[] \t\n\0%;,\u3002\uff0e\u2024/") | st.characters(categories=["L"])
    )
    changed = url[:place] + character + url[place:]
    try:
        put("oauth2.txt", {**FILES["oauth2.txt"], "token_uri": changed})
    except InvalidRequest:
        return
    host = changed.removeprefix("https://").split("/")[0]
    assert host.isascii()
    assert host == "accounts.google.com" or host.endswith(".googleapis.com")
    assert set(host) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")


@given(
    st.lists(st.sampled_from([".", "..", "%2e", "%2F", "/", "a", "storage", "%73", "?", "%40"]), max_size=9)
)
def test_no_path_means_another_to_a_client_or_a_server_than_the_one_that_was_looked_at(
    parts: list[str],
) -> None:
    url = "https://www.googleapis.com/" + "".join(parts)
    try:
        put("oauth2.txt", {**FILES["oauth2.txt"], "token_uri": url})
    except InvalidRequest:
        return
    read = posixpath.normpath("/" + unquote(urlsplit(url).path).lstrip("/"))
    assert not f"{read}/".startswith("/storage/")


@given(st.integers(1, 5000))
def test_depth_costs_nothing_but_an_answer(depth: int) -> None:
    text = json.dumps(FILES["oauth2.txt"])[:-1] + ', "x": ' + "[" * depth + "]" * depth + "}"
    try:
        checked_file("oauth2.txt", text.encode(), datetime(2026, 3, 1, tzinfo=UTC))
    except InvalidRequest as error:
        assert error.reason == Reason.CREDENTIALS_INVALID
