"""Google's access tokens, with google-auth itself against a real token endpoint."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.errors import ConnectionFailed
from shared.kube.connect.gke.google_tokens import GoogleCredentials
from shared.reasons import Reason
from tests.support.metadata_server import MetadataServer


@pytest.fixture
async def tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MetadataServer]:
    for variable in ("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "GOOGLE_CLOUD_QUOTA_PROJECT"):
        monkeypatch.delenv(variable, raising=False)
    async with MetadataServer() as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", server.write_key_file(tmp_path / "key.json"))
        yield server


async def test_project_is_the_credentials_own(tokens: MetadataServer) -> None:
    assert (await GoogleCredentials.default()).project == "test-project"


async def test_event_loop_goes_on_while_a_token_is_fetched(tokens: MetadataServer) -> None:
    credentials = await GoogleCredentials.default()
    tokens.hold.clear()
    waiting = [asyncio.create_task(credentials.authorization()) for _ in range(30)]
    # The endpoint runs on this very loop: were the loop blocked, nothing would ever answer.
    tokens.hold.set()
    assert set(await asyncio.gather(*waiting)) == {"Bearer token-1"}
    assert tokens.tokens == ["token-1"]


async def test_refused_token_is_renewed_once_for_concurrent_and_late_refusals(tokens: MetadataServer) -> None:
    credentials = await GoogleCredentials.default()
    assert await credentials.authorization() == "Bearer token-1"
    refreshed = await asyncio.gather(*(credentials.authorization(refresh=True) for _ in range(30)))
    assert set(refreshed) == {"Bearer token-2"}
    assert await credentials.authorization(refresh=True) == "Bearer token-2"
    assert len(tokens.tokens) == 2


async def test_token_is_renewed_225_seconds_before_it_ends(tokens: MetadataServer) -> None:
    moment = time.time()
    found = await GoogleCredentials.default()
    credentials = GoogleCredentials(found._credentials, found.project, now=lambda: moment)
    await credentials.authorization()
    moment += 3600 - 225 - 5
    assert await credentials.authorization() == "Bearer token-1"
    moment += 10
    assert await credentials.authorization() == "Bearer token-2"


async def test_refused_credentials_say_what_to_check(tokens: MetadataServer) -> None:
    tokens.status = 400
    with pytest.raises(ConnectionFailed) as caught:
        await (await GoogleCredentials.default()).authorization()
    assert caught.value.reason == Reason.GOOGLE_CREDENTIALS_REFUSED
    assert "service account" in caught.value.detail


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"access_token": 5}', '{"access_token": "a\\nb", "expires_in": 5}']
)
async def test_garbage_in_place_of_a_token_is_an_error(tokens: MetadataServer, body: str) -> None:
    tokens.body = body
    with pytest.raises(ConnectionFailed) as caught:
        await (await GoogleCredentials.default()).authorization()
    assert str(caught.value.reason).startswith("GOOGLE_CREDENTIALS_")


async def test_endpoint_that_hangs_is_an_error_that_passes(tokens: MetadataServer) -> None:
    tokens.hold.clear()
    credentials = await GoogleCredentials.default()
    impatient = GoogleCredentials(credentials._credentials, None, timeout_seconds=0.1)
    with pytest.raises(ConnectionFailed) as caught:
        await impatient.authorization()
    assert caught.value.reason == Reason.GOOGLE_CREDENTIALS_UNAVAILABLE
    assert caught.value.retry_after_seconds
    tokens.hold.set()
    assert await impatient.authorization() is not None


@pytest.mark.parametrize("content", [None, "", "not json", "{}", '{"type": "service_account"}', "[]"])
async def test_missing_or_malformed_credentials_say_how_to_get_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    path = tmp_path / "key.json"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with pytest.raises(ConnectionFailed) as caught:
        await GoogleCredentials.default()
    assert caught.value.reason == Reason.GOOGLE_CREDENTIALS_MISSING
    assert "gcloud auth application-default login" in caught.value.detail
    assert str(path) not in caught.value.detail
