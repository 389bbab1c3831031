from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.identity import IdentityVerifier, identity_verifier
from shared.settings.identity import IdentitySettings
from tests.shared.identity.issuer import AUDIENCE, Issuer


@pytest.fixture
async def google() -> AsyncIterator[Issuer]:
    async with Issuer("RS256").serving() as issuer:
        yield issuer


@pytest.fixture
async def iap() -> AsyncIterator[Issuer]:
    async with Issuer("ES256").serving() as issuer:
        yield issuer


@pytest.fixture
async def verifier(google: Issuer) -> AsyncIterator[IdentityVerifier]:
    settings = IdentitySettings(auth_mode="google", audience=AUDIENCE, keys_url=google.url)
    verifier = identity_verifier(settings)
    yield verifier
    await verifier.close()
