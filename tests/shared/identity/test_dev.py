"""The development identity: this machine's callers only, and nothing heavy to import."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ConfigurationError, PermissionDenied, Unauthenticated
from shared.identity import Identity, IdentityVerifier, identity_verifier
from shared.reasons import Reason
from shared.settings.identity import IdentitySettings
from tests.support.patience import PATIENCE

LOOPBACK = ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1"]
ELSEWHERE = [
    None, "", "localhost", "testclient", "10.0.0.1", "0.0.0.0", "::", "192.168.1.1", "203.0.113.9",
    "128.0.0.1", "::ffff:10.0.0.1", "fe80::1", "::2", "127.0.0.1:80", "127.1",
    "0x7f000001", "127.0.0.1, 10.0.0.1",
]  # fmt: skip


def verifier(*domains: str) -> IdentityVerifier:
    return identity_verifier(IdentitySettings(auth_mode="dev", allowed_domains=domains))


@pytest.mark.parametrize("host", LOOPBACK)
async def test_loopback_is_believed(host: str) -> None:
    identity = await verifier().verify({"X-Dev-User": " Alice@Example.com "}, host)
    assert identity == Identity(
        email="alice@example.com", subject="dev:alice@example.com", domain="example.com"
    )


@pytest.mark.parametrize("host", ELSEWHERE)
async def test_everybody_else_is_refused(host: str | None) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await verifier().verify({"X-Dev-User": "alice@example.com"}, host)
    assert caught.value.reason == Reason.IDENTITY_NOT_LOCAL


@pytest.mark.parametrize(
    "headers", [{}, {"X-Dev-User": ""}, {"X-Dev-User": "  "}, {"Authorization": "Bearer x"}]
)
async def test_missing_header_is_told(headers: dict[str, str]) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await verifier().verify(headers, "127.0.0.1")
    assert caught.value.reason == Reason.TOKEN_MISSING


@pytest.mark.parametrize(
    "value",
    [
        "alice",
        "@example.com",
        "alice@",
        "a@b@c",
        "a b@c",
        "a@b,c@d",
        "a@b\r\nX: y",
        "zoë@example.com",
        "<a@b>",
    ],
)
async def test_header_that_is_no_email_is_refused(value: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await verifier().verify({"X-Dev-User": value}, "::1")
    assert caught.value.reason == Reason.TOKEN_INVALID


async def test_allowed_domains_hold_here_too() -> None:
    restricted = verifier("example.com")
    await restricted.verify({"x-dev-user": "alice@EXAMPLE.com"}, "::1")
    with pytest.raises(PermissionDenied) as caught:
        await restricted.verify({"x-dev-user": "alice@evil.example"}, "::1")
    assert caught.value.reason == Reason.DOMAIN_NOT_ALLOWED


def test_refuses_to_start_on_cloud_run() -> None:
    with pytest.raises(ConfigurationError):
        identity_verifier(IdentitySettings(auth_mode="dev", k_service="sessions"))


@given(value=st.text(max_size=400), host=st.none() | st.text(max_size=50) | st.just("127.0.0.1"))
def test_any_text_is_refused_in_our_words_or_an_email(value: str, host: str | None) -> None:
    async def verify() -> None:
        try:
            identity = await verifier().verify({"X-Dev-User": value}, host)
        except (Unauthenticated, PermissionDenied):
            return
        assert host == "127.0.0.1"
        assert identity.email.count("@") == 1
        assert identity.email.isascii()

    asyncio.run(verify())


def test_needs_no_cryptography() -> None:
    program = (
        "import sys; from shared.settings.identity import IdentitySettings;"
        "from shared.identity import identity_verifier;"
        "identity_verifier(IdentitySettings(auth_mode='dev'));"
        "assert not {'jwt', 'cryptography', 'aiohttp', 'google.auth'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "LOCALHOST", "127.0.0.1:1", "[::1]:80", "127.1.2.3"]
)
async def test_names_of_this_machine_are_believed(host: str) -> None:
    headers = {"Host": host, "X-Dev-User": "ann@example.com"}
    assert (await verifier().verify(headers, "127.0.0.1")).email == "ann@example.com"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "evil.example:8080", "10.0.0.1", "[::2]", "0.0.0.0"],
)
async def test_a_page_whose_name_resolves_to_this_machine_is_refused(host: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await verifier().verify({"Host": host, "X-Dev-User": "ann@example.com"}, "127.0.0.1")
    assert caught.value.reason == Reason.IDENTITY_NOT_LOCAL
