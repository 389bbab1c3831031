"""Identity-Aware Proxy's header: only ES256, only its issuer, only our audience."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest

from shared.errors import PermissionDenied, Unauthenticated, Unavailable
from shared.identity import Identity, IdentityVerifier, identity_verifier
from shared.reasons import Reason
from shared.settings.identity import IdentitySettings
from tests.shared.identity.issuer import AUDIENCE, Issuer


@pytest.fixture
async def verifier(iap: Issuer) -> AsyncIterator[IdentityVerifier]:
    settings = IdentitySettings(
        auth_mode="iap", audience=AUDIENCE, keys_url=iap.url, allowed_domains=("example.com",)
    )
    verifier = identity_verifier(settings)
    yield verifier
    await verifier.close()


@pytest.mark.parametrize("name", ["X-Goog-IAP-JWT-Assertion", "x-goog-iap-jwt-assertion"])
async def test_gives_the_identity(verifier: IdentityVerifier, iap: Issuer, name: str) -> None:
    token = iap.token(sub="accounts.google.com:42", email="Alice@example.com", remove=("email_verified",))
    assert await verifier.verify({name: token}, None) == Identity(
        email="alice@example.com", subject="google:42", domain="example.com"
    )


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"iss": "https://accounts.google.com"}, "TOKEN_ISSUER"),
        ({"aud": "/projects/1/apps/other"}, "TOKEN_AUDIENCE"),
        ({"exp": 1}, "TOKEN_EXPIRED"),
        ({"email": None}, "EMAIL_NOT_VERIFIED"),
        ({"email": "securetoken.google.com/p:alice"}, "EMAIL_NOT_VERIFIED"),
    ],
)
async def test_wrong_claim_is_refused(
    verifier: IdentityVerifier, iap: Issuer, claims: dict[str, Any], expected: str
) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await verifier.verify({"X-Goog-IAP-JWT-Assertion": iap.token(**claims)}, None)
    assert caught.value.reason == expected


async def test_unsigned_headers_of_the_proxy_are_not_believed(verifier: IdentityVerifier) -> None:
    headers = {"X-Goog-Authenticated-User-Email": "accounts.google.com:alice@example.com"}
    with pytest.raises(Unauthenticated) as caught:
        await verifier.verify(headers, "127.0.0.1")
    assert caught.value.reason == Reason.TOKEN_MISSING


async def test_id_token_in_its_place_is_refused(verifier: IdentityVerifier) -> None:
    token = Issuer("RS256").token(iss="https://cloud.google.com/iap")
    with pytest.raises(Unauthenticated) as caught:
        await verifier.verify({"X-Goog-IAP-JWT-Assertion": token}, None)
    assert caught.value.reason == Reason.TOKEN_INVALID


async def test_other_key_under_the_same_id_is_refused(verifier: IdentityVerifier, iap: Issuer) -> None:
    token = jwt.encode(iap.claims(), iap.spare["two"], algorithm="ES256", headers={"kid": "one"})
    with pytest.raises(Unauthenticated) as caught:
        await verifier.verify({"X-Goog-IAP-JWT-Assertion": token}, None)
    assert caught.value.reason == Reason.TOKEN_INVALID


async def test_other_domain_is_forbidden(verifier: IdentityVerifier, iap: Issuer) -> None:
    for token in (iap.token(hd="evil.example"), iap.token(remove=("hd",))):
        with pytest.raises(PermissionDenied) as caught:
            await verifier.verify({"X-Goog-IAP-JWT-Assertion": token}, None)
        assert caught.value.reason == Reason.DOMAIN_NOT_ALLOWED


async def test_without_keys_it_is_our_trouble(verifier: IdentityVerifier, iap: Issuer) -> None:
    iap.answer = (503, b"")
    with pytest.raises(Unavailable):
        await verifier.verify({"X-Goog-IAP-JWT-Assertion": iap.token()}, None)
