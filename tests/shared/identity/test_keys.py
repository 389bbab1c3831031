"""The issuer's keys: when they are fetched, kept and done without."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
import time
from collections.abc import AsyncIterator

import pytest

from shared.errors import ConfigurationError, Unavailable
from shared.identity.keys import KeySet
from shared.reasons import Reason
from tests.shared.identity.issuer import Issuer
from tests.support.patience import PATIENCE


@dataclasses.dataclass(slots=True)
class SetClock:
    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def keys(google: Issuer, clock: SetClock) -> AsyncIterator[KeySet]:
    keys = KeySet(google.url, algorithm="RS256", now=clock)
    yield keys
    await keys.close()


class TestCache:
    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"Cache-Control": "public, max-age=3600, must-revalidate"}, 3600),
            ({"Cache-Control": "MAX-AGE=3600"}, 3600),
            ({"Cache-Control": "max-age=3600", "Age": "600"}, 3000),
            ({"Cache-Control": "max-age=3600", "Age": "nonsense"}, 3600),
            ({"Cache-Control": "max-age=1"}, 60),
            ({"Cache-Control": "max-age=60", "Age": "600"}, 60),
            ({"Cache-Control": "max-age=99999999"}, 86_400),
            ({"Cache-Control": "s-maxage=9000"}, 300),
            ({"Cache-Control": "no-store"}, 300),
            ({}, 300),
        ],
    )
    async def test_issuer_says_how_long_within_bounds(
        self, google: Issuer, keys: KeySet, clock: SetClock, headers: dict[str, str], seconds: float
    ) -> None:
        google.headers = headers
        await keys.key("one")
        clock.seconds += seconds - 0.5
        await keys.key("one")
        assert google.requests == 1
        clock.seconds += 1
        await keys.key("one")
        assert google.requests == 2

    async def test_waiters_share_one_fetch(self, google: Issuer, keys: KeySet) -> None:
        assert None not in await asyncio.gather(*(keys.key("one") for _ in range(100)))
        assert google.requests == 1

    async def test_waiter_that_goes_away_does_not_end_the_fetch(self, google: Issuer, keys: KeySet) -> None:
        google.pause = asyncio.Event()
        first, second = (asyncio.create_task(keys.key("one")) for _ in range(2))
        await asyncio.wait_for(google.asked.wait(), timeout=PATIENCE)
        first.cancel()
        google.pause.set()
        assert await second is not None
        assert google.requests == 1


class TestRotation:
    async def test_new_key_is_found_at_once(self, google: Issuer, keys: KeySet) -> None:
        await keys.key("one")
        google.keys = {"two": google.spare["two"]}
        found = await asyncio.gather(*(keys.key("two") for _ in range(20)))
        assert None not in found
        assert google.requests == 2
        assert await keys.key("one") is None

    async def test_made_up_ids_do_not_hammer_the_issuer(
        self, google: Issuer, keys: KeySet, clock: SetClock
    ) -> None:
        await keys.key("one")
        for n in range(50):
            assert await keys.key(f"made-up-{n}") is None
        await asyncio.gather(*(keys.key(f"made-up-{n}") for n in range(50)))
        assert google.requests == 2
        clock.seconds += 31
        await keys.key("made-up")
        assert google.requests == 3

    async def test_key_of_another_use_or_algorithm_is_passed_over(self, google: Issuer, keys: KeySet) -> None:
        (good,) = google.jwk_set()["keys"]
        others = [
            {**good, "kid": "enc", "use": "enc"},
            {**good, "kid": "rs512", "alg": "RS512"},
            {"kty": "oct", "k": "AAAA", "kid": "oct"},
            {"kty": "EC", "kid": "broken"},
            "nonsense",
            {key: value for key, value in good.items() if key != "kid"},
        ]
        google.answer = (200, json.dumps({"keys": [*others, good]}).encode())
        assert await keys.key("one") is not None
        for kid in ("enc", "rs512", "oct", "broken", ""):
            assert await keys.key(kid) is None


FAILURES = [
    (500, b"{}"),
    (302, b""),
    (404, b""),
    (200, b""),
    (200, b"<html>"),
    (200, b"\xff\xfe"),
    (200, b"[]"),
    (200, b"7"),
    (200, b"{}"),
    (200, b'{"keys": []}'),
    (200, b'{"keys": 7}'),
    (200, b'{"keys": {"kid": "one"}}'),
    (200, b'{"keys": [{"kty": "RSA", "kid": "one"}]}'),
    (200, b'{"keys": [{"kty": ["RSA"], "alg": ["x"], "kid": "one"}]}'),
    (200, b"[" * 100_000),
    (200, b" " * 300_000),
]


class TestFailures:
    @pytest.mark.parametrize("answer", FAILURES)
    async def test_without_keys_it_is_our_trouble(
        self, google: Issuer, keys: KeySet, answer: tuple[int, bytes]
    ) -> None:
        google.answer = answer
        with pytest.raises(Unavailable) as caught:
            await keys.key("one")
        assert caught.value.reason == Reason.IDENTITY_KEYS_UNAVAILABLE
        assert caught.value.retry_after_seconds
        assert google.url not in caught.value.detail
        google.answer = None
        assert await keys.key("one") is not None

    @pytest.mark.parametrize("answer", FAILURES)
    async def test_old_keys_count_while_there_are_no_new_ones(
        self, google: Issuer, keys: KeySet, clock: SetClock, answer: tuple[int, bytes]
    ) -> None:
        old = await keys.key("one")
        google.answer = answer
        clock.seconds += 4000
        for _ in range(10):
            assert await keys.key("one") is old
        assert google.requests == 2
        clock.seconds += 31
        google.answer = None
        assert await keys.key("one") is not None
        assert google.requests == 3

    async def test_old_keys_do_not_count_for_ever(
        self, google: Issuer, keys: KeySet, clock: SetClock
    ) -> None:
        await keys.key("one")
        google.answer = (500, b"")
        clock.seconds += 3600 + 86_400 + 1
        with pytest.raises(Unavailable):
            await keys.key("one")

    async def test_closed_port_is_unavailable(self) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            keys = KeySet(f"http://127.0.0.1:{unused.getsockname()[1]}/keys", algorithm="RS256")
            with pytest.raises(Unavailable):
                await keys.key("one")
            await keys.close()

    async def test_slow_server_is_given_up_for_all_who_wait(self, google: Issuer, keys: KeySet) -> None:
        google.pause = asyncio.Event()
        started = time.monotonic()
        results = await asyncio.gather(*(keys.key("one") for _ in range(20)), return_exceptions=True)
        assert {type(result) for result in results} == {Unavailable}
        assert google.requests == 1
        assert time.monotonic() - started < PATIENCE
        google.pause.set()

    async def test_close_ends_a_fetch_under_way(self, google: Issuer, keys: KeySet) -> None:
        google.pause = asyncio.Event()
        waiter = asyncio.create_task(keys.key("one"))
        await asyncio.wait_for(google.asked.wait(), timeout=PATIENCE)
        await keys.close()
        (result,) = await asyncio.gather(waiter, return_exceptions=True)
        assert isinstance(result, Unavailable)
        with pytest.raises(Unavailable):
            await keys.key("one")


@pytest.mark.parametrize(
    "url",
    [
        "http://keys.example.com/",
        "http://10.0.0.1/",
        "file:///etc/passwd",
        "keys",
        "",
        "https://",
        "ftp://a/",
    ],
)
def test_address_over_which_keys_could_be_forged_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="AUTH_KEYS_URL"):
        KeySet(url, algorithm="RS256")


@pytest.mark.parametrize("url", ["https://keys.example.com/", "http://localhost:1/", "http://[::1]:1/keys"])
def test_address_over_which_keys_are_safe_is_taken(url: str) -> None:
    KeySet(url, algorithm="RS256")
