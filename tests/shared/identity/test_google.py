"""Google-signed ID tokens: who is let in, and the reason why another is not."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from starlette.datastructures import Headers

from shared.errors import PermissionDenied, Unauthenticated
from shared.identity import Identity, IdentityVerifier, identity_verifier
from shared.reasons import Reason
from shared.settings.identity import IdentitySettings
from tests.shared.identity.issuer import AUDIENCE, Issuer


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def reason(verifier: IdentityVerifier, headers: Mapping[str, str]) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await verifier.verify(headers, "203.0.113.9")
    return caught.value.reason


@contextlib.asynccontextmanager
async def restricted(google: Issuer, *domains: str) -> AsyncIterator[IdentityVerifier]:
    settings = IdentitySettings(audience=AUDIENCE, keys_url=google.url, allowed_domains=domains)
    verifier = identity_verifier(settings)
    yield verifier
    await verifier.close()


def unsigned(header: Mapping[str, Any], claims: Mapping[str, Any], signature: str = "") -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)
    ]
    return ".".join([*parts, signature])


class TestGoodTokens:
    @pytest.mark.parametrize("issuer", ["accounts.google.com", "https://accounts.google.com"])
    async def test_gives_the_identity(self, verifier: IdentityVerifier, google: Issuer, issuer: str) -> None:
        identity = await verifier.verify(bearer(google.token(iss=issuer)), None)
        assert identity == Identity(
            email="alice@example.com", subject="google:110169484474386276334", domain="example.com"
        )

    @pytest.mark.parametrize("name", ["authorization", "Authorization", "AUTHORIZATION"])
    @pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER   {}", "  Bearer {}  "])
    async def test_header_is_read_whatever_its_case_and_spacing(
        self, verifier: IdentityVerifier, google: Issuer, name: str, form: str
    ) -> None:
        await verifier.verify({name: form.format(google.token())}, None)

    async def test_headers_of_a_request_are_read(self, verifier: IdentityVerifier, google: Issuer) -> None:
        await verifier.verify(Headers(bearer(google.token())), None)

    async def test_email_and_domain_are_lowered(self, verifier: IdentityVerifier, google: Issuer) -> None:
        identity = await verifier.verify(
            bearer(google.token(email="Alice@EXAMPLE.com", hd="Example.COM")), None
        )
        assert (identity.email, identity.domain) == ("alice@example.com", "example.com")

    async def test_email_beyond_ascii_is_kept(self, verifier: IdentityVerifier, google: Issuer) -> None:
        identity = await verifier.verify(bearer(google.token(email="Zoë@müller.example")), None)
        assert identity.email == "zoë@müller.example"

    async def test_lowering_never_makes_one_account_another(
        self, verifier: IdentityVerifier, google: Issuer
    ) -> None:
        kelvin = "\N{KELVIN SIGN}ate@example.com"
        assert kelvin.lower() == "kate@example.com"
        identity = await verifier.verify(bearer(google.token(email=kelvin)), None)
        assert identity.email != "kate@example.com"

    async def test_consumer_account_has_no_domain(self, verifier: IdentityVerifier, google: Issuer) -> None:
        identity = await verifier.verify(bearer(google.token(remove=("hd",))), None)
        assert identity.domain is None

    @pytest.mark.parametrize("seconds", [-25, -1, 1])
    async def test_leeway_covers_clocks_that_differ(
        self, verifier: IdentityVerifier, google: Issuer, seconds: int
    ) -> None:
        await verifier.verify(bearer(google.token(exp=int(time.time()) + seconds)), None)

    async def test_token_of_a_clock_that_is_ahead_is_good(
        self, verifier: IdentityVerifier, google: Issuer
    ) -> None:
        ahead = int(time.time()) + 25
        await verifier.verify(bearer(google.token(iat=ahead, nbf=ahead)), None)


class TestWrongClaims:
    @pytest.mark.parametrize(
        ("claims", "expected"),
        [
            ({"iss": "https://accounts.google.com.example.net"}, "TOKEN_ISSUER"),
            ({"iss": "https://cloud.google.com/iap"}, "TOKEN_ISSUER"),
            ({"iss": "google.com"}, "TOKEN_ISSUER"),
            ({"aud": "https://other.example.com"}, "TOKEN_AUDIENCE"),
            ({"aud": AUDIENCE + "/"}, "TOKEN_AUDIENCE"),
            ({"aud": [AUDIENCE, "https://other.example.com"]}, "TOKEN_AUDIENCE"),
            ({"aud": ""}, "TOKEN_AUDIENCE"),
            ({"aud": 7}, "TOKEN_AUDIENCE"),
            ({"email_verified": False}, "EMAIL_NOT_VERIFIED"),
            ({"email_verified": "true"}, "EMAIL_NOT_VERIFIED"),
            ({"email_verified": 1}, "EMAIL_NOT_VERIFIED"),
            ({"email": ""}, "EMAIL_NOT_VERIFIED"),
            ({"email": 7}, "EMAIL_NOT_VERIFIED"),
            ({"email": "alice"}, "EMAIL_NOT_VERIFIED"),
            ({"email": "alice@example.com\nbob@example.com"}, "EMAIL_NOT_VERIFIED"),
            ({"email": "alice@bob@example.com"}, "EMAIL_NOT_VERIFIED"),
            ({"email": "a" * 320 + "@example.com"}, "EMAIL_NOT_VERIFIED"),
            ({"exp": "soon"}, "TOKEN_INVALID"),
            ({"exp": None}, "TOKEN_INVALID"),
            ({"exp": float("inf")}, "TOKEN_INVALID"),
            ({"exp": float("nan")}, "TOKEN_INVALID"),
            ({"iat": "then"}, "TOKEN_INVALID"),
            ({"iat": []}, "TOKEN_INVALID"),
            ({"nbf": "later"}, "TOKEN_INVALID"),
            ({"sub": 7}, "TOKEN_INVALID"),
            ({"jti": 7}, "TOKEN_INVALID"),
        ],
    )
    async def test_is_refused(
        self, verifier: IdentityVerifier, google: Issuer, claims: dict[str, Any], expected: str
    ) -> None:
        assert await reason(verifier, bearer(google.token(**claims))) == expected

    @pytest.mark.parametrize(
        ("claim", "expected"),
        [
            ("iss", "TOKEN_ISSUER"),
            ("aud", "TOKEN_AUDIENCE"),
            ("exp", "TOKEN_INVALID"),
            ("iat", "TOKEN_INVALID"),
            ("sub", "TOKEN_INVALID"),
            ("email", "EMAIL_NOT_VERIFIED"),
            ("email_verified", "EMAIL_NOT_VERIFIED"),
        ],
    )
    async def test_lacking_is_refused(
        self, verifier: IdentityVerifier, google: Issuer, claim: str, expected: str
    ) -> None:
        assert await reason(verifier, bearer(google.token(remove=(claim,)))) == expected

    @pytest.mark.parametrize("seconds", [-35, -3600, -(10**9)])
    async def test_expired_is_refused(self, verifier: IdentityVerifier, google: Issuer, seconds: int) -> None:
        token = google.token(exp=int(time.time()) + seconds, iat=0)
        assert await reason(verifier, bearer(token)) == "TOKEN_EXPIRED"

    @pytest.mark.parametrize("claim", ["iat", "nbf"])
    async def test_not_yet_valid_is_refused(
        self, verifier: IdentityVerifier, google: Issuer, claim: str
    ) -> None:
        assert (
            await reason(verifier, bearer(google.signed(google.claims() | {claim: int(time.time()) + 40})))
            == "TOKEN_INVALID"
        )


class TestForgeries:
    @pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
    async def test_unsigned_is_refused(
        self, verifier: IdentityVerifier, google: Issuer, algorithm: str
    ) -> None:
        for header in ({"alg": algorithm, "kid": "one", "typ": "JWT"}, {"alg": algorithm}):
            assert await reason(verifier, bearer(unsigned(header, google.claims()))) == "TOKEN_INVALID"
        assert google.requests == 0

    async def test_public_key_as_a_shared_secret_is_refused(
        self, verifier: IdentityVerifier, google: Issuer
    ) -> None:
        public = google.keys["one"].public_key()
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        signer = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
        signed = unsigned({"alg": "HS256", "kid": "one", "typ": "JWT"}, google.claims()).rstrip(".")
        signature = base64.urlsafe_b64encode(signer.sign(signed.encode(), pem)).rstrip(b"=").decode()
        assert await reason(verifier, bearer(f"{signed}.{signature}")) == "TOKEN_INVALID"

    async def test_other_key_under_the_same_id_is_refused(
        self, verifier: IdentityVerifier, google: Issuer
    ) -> None:
        token = jwt.encode(google.claims(), google.spare["two"], algorithm="RS256", headers={"kid": "one"})
        assert await reason(verifier, bearer(token)) == "TOKEN_INVALID"

    async def test_stronger_algorithm_of_the_same_key_is_refused(
        self, verifier: IdentityVerifier, google: Issuer
    ) -> None:
        token = jwt.encode(google.claims(), google.spare["one"], algorithm="RS512", headers={"kid": "one"})
        assert await reason(verifier, bearer(token)) == "TOKEN_INVALID"

    async def test_key_that_the_token_brings_along_is_not_used(
        self, verifier: IdentityVerifier, google: Issuer
    ) -> None:
        jwk = Issuer("RS256").jwk_set()["keys"][0]
        token = jwt.encode(
            google.claims(),
            google.spare["two"],
            algorithm="RS256",
            headers={"kid": "evil", "jwk": jwk, "jku": "http://127.0.0.1:1/keys"},
        )
        assert await reason(verifier, bearer(token)) == "TOKEN_INVALID"

    async def test_changed_claims_are_refused(self, verifier: IdentityVerifier, google: Issuer) -> None:
        header, _, signature = google.token().split(".")
        claims = unsigned({}, google.claims(email="root@example.com")).split(".")[1]
        assert await reason(verifier, bearer(f"{header}.{claims}.{signature}")) == "TOKEN_INVALID"

    async def test_signature_that_cloud_run_removed_is_explained(
        self, verifier: IdentityVerifier, google: Issuer
    ) -> None:
        token = google.token().rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE"
        with pytest.raises(Unauthenticated, match="X-Serverless-Authorization") as caught:
            await verifier.verify(bearer(token), None)
        assert caught.value.reason == Reason.TOKEN_INVALID


class TestHeaders:
    @pytest.mark.parametrize("headers", [{}, {"X-Dev-User": "a@example.com"}, {"Authorization": ""}])
    async def test_missing(self, verifier: IdentityVerifier, headers: dict[str, str]) -> None:
        assert await reason(verifier, headers) == "TOKEN_MISSING"

    @pytest.mark.parametrize("value", ["Bearer", "Bearer ", "bearer \t "])
    async def test_scheme_alone(self, verifier: IdentityVerifier, value: str) -> None:
        assert await reason(verifier, {"Authorization": value}) == "TOKEN_MISSING"

    @pytest.mark.parametrize(
        "form",
        ["{}", "Basic {}", "Bearer{}", "Bearer\t{}", "Bearer {} x", "Bearer {0}, Bearer {0}", "Bearer {},"],
    )
    async def test_malformed(self, verifier: IdentityVerifier, google: Issuer, form: str) -> None:
        assert await reason(verifier, {"Authorization": form.format(google.token())}) == "TOKEN_INVALID"

    async def test_two_are_refused_even_if_both_are_good(
        self, verifier: IdentityVerifier, google: Issuer
    ) -> None:
        value = f"Bearer {google.token()}".encode()
        headers = Headers(raw=[(b"authorization", value), (b"authorization", value)])
        assert await reason(verifier, headers) == "TOKEN_INVALID"

    async def test_huge_token_is_refused_unread(self, verifier: IdentityVerifier, google: Issuer) -> None:
        assert await reason(verifier, bearer(google.token(padding="x" * 8192))) == "TOKEN_INVALID"
        assert google.requests == 0

    @pytest.mark.parametrize("depth", [100, 1900])
    async def test_deeply_nested_header_or_claims_are_refused(
        self, verifier: IdentityVerifier, google: Issuer, depth: int
    ) -> None:
        nested = base64.urlsafe_b64encode(b"[" * depth + b"]" * depth).rstrip(b"=").decode()
        header = google.token().split(".")[0]
        assert await reason(verifier, bearer(f"{nested}.{nested}.AAAA")) == "TOKEN_INVALID"
        assert await reason(verifier, bearer(f"{header}.{nested}.AAAA")) == "TOKEN_INVALID"

    async def test_deeply_nested_claims_that_are_signed_are_refused(
        self, verifier: IdentityVerifier, google: Issuer
    ) -> None:
        claims = b'{"x":' + b"[" * 2000 + b"]" * 2000 + b"}"
        token = jwt.api_jws.encode(claims, google.spare["one"], algorithm="RS256", headers={"kid": "one"})
        assert await reason(verifier, bearer(token)) == "TOKEN_INVALID"

    @given(
        name=st.sampled_from(["authorization", "Authorization", "x-dev-user"]) | st.text(max_size=20),
        value=st.text(max_size=200)
        | st.from_regex(
            r"Bearer [A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}", fullmatch=True
        )
        | st.builds(
            lambda header, claims: f"Bearer {unsigned(header, claims, 'AAAA')}",
            st.dictionaries(
                st.sampled_from(["alg", "kid", "typ", "crit", "b64"]),
                st.none() | st.text() | st.lists(st.text()),
            ),
            st.dictionaries(st.text(max_size=5), st.none() | st.text(max_size=5)),
        )
        | st.builds(
            lambda kid: f"Bearer {unsigned({'alg': 'RS256', 'kid': kid}, {}, 'AAAA')}",
            st.none() | st.integers() | st.text() | st.just("one"),
        ),
    )
    @hypothesis_settings(
        max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    async def test_any_text_is_refused_in_our_words(
        self, verifier: IdentityVerifier, name: str, value: str
    ) -> None:
        with pytest.raises((Unauthenticated, PermissionDenied)):
            await verifier.verify({name: value}, None)


class TestDomains:
    async def test_listed_domain_may_call(self, google: Issuer) -> None:
        async with restricted(google, "other.example", "Example.com") as verifier:
            assert (await verifier.verify(bearer(google.token()), None)).domain == "example.com"

    @pytest.mark.parametrize(
        "claims",
        [
            {"hd": "evil.example"},
            {"hd": "sub.example.com"},
            {"hd": "example.com.evil.example"},
            {"hd": ""},
            {"hd": ["example.com"]},
            {"hd": None},
        ],
    )
    async def test_other_domain_may_not_whatever_the_email_says(
        self, google: Issuer, claims: dict[str, Any]
    ) -> None:
        async with restricted(google, "example.com") as verifier:
            with pytest.raises(PermissionDenied) as caught:
                await verifier.verify(bearer(google.token(**claims)), None)
        assert caught.value.reason == Reason.DOMAIN_NOT_ALLOWED

    async def test_consumer_account_with_an_address_in_the_domain_may_not(self, google: Issuer) -> None:
        async with restricted(google, "example.com") as verifier:
            with pytest.raises(PermissionDenied):
                await verifier.verify(bearer(google.token(remove=("hd",))), None)

    async def test_service_account_may_if_its_project_is_listed(self, google: Issuer) -> None:
        token = google.token(remove=("hd",), email="cron@tools.iam.gserviceaccount.com")
        async with restricted(google, "example.com", "tools.iam.gserviceaccount.com") as verifier:
            assert (await verifier.verify(bearer(token), None)).domain == "tools.iam.gserviceaccount.com"
        async with restricted(google, "example.com") as verifier:
            with pytest.raises(PermissionDenied):
                await verifier.verify(bearer(token), None)

    async def test_bad_token_of_another_domain_is_told_nothing_of_domains(self, google: Issuer) -> None:
        async with restricted(google, "example.com") as verifier:
            assert (
                await reason(verifier, bearer(google.token(hd="evil.example", aud="x"))) == "TOKEN_AUDIENCE"
            )


async def test_100_verifications_on_a_cold_cache_fetch_the_keys_once(
    verifier: IdentityVerifier, google: Issuer
) -> None:
    token = google.token()
    await asyncio.gather(*(verifier.verify(bearer(token), None) for _ in range(100)))
    assert google.requests == 1
