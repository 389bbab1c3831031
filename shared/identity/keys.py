"""An issuer's public keys: a JWK set (RFC 7517) from its address, cached.

When the keys cannot be had, the fault is ours and not the caller's: the answer is ``Unavailable`` (503),
never "your token is invalid".
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import aiohttp
import jwt
from jwt.algorithms import AllowedPublicKeys

from shared.errors import ConfigurationError, Unavailable
from shared.identity.loopback import is_loopback
from shared.reasons import Reason

MIN_AGE_SECONDS = 60.0
MAX_AGE_SECONDS = 86_400.0
"""Between these the issuer's Cache-Control decides how long its keys are kept."""

DEFAULT_AGE_SECONDS = 300.0
"""How long we keep keys when the issuer does not say."""

STALE_SECONDS = 86_400.0
"""How long we go on using keys while their address does not answer."""

RETRY_SECONDS = 30.0
"""Pause between fetches after a failed one, and between those for unknown key ids: whoever
makes ids up does not make us hammer the issuer."""

FETCH_SECONDS = 5.0
MAX_BYTES = 262_144

_MAX_AGE = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?([0-9]{1,9})", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True)
class _Keys:
    by_id: Mapping[str, AllowedPublicKeys]
    fresh_until: float
    usable_until: float


class KeySet:
    """The keys of one issuer for one algorithm.

    Args:
        url: Address of the JWK set; HTTPS, or HTTP on loopback.
        algorithm: JWA name (RFC 7518); keys for another one are passed over.
        now: Monotonic clock, in seconds.

    Raises:
        ConfigurationError: The address is neither.
    """

    def __init__(self, url: str, *, algorithm: str, now: Callable[[], float] = time.monotonic) -> None:
        _require_private_way(url)
        self._url = url
        self._algorithm = algorithm
        self._now = now
        self._keys: _Keys | None = None
        self._not_before = float("-inf")
        self._unknown_not_before = float("-inf")
        self._fetching: asyncio.Task[_Keys] | None = None
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def key(self, key_id: str) -> AllowedPublicKeys | None:
        """The key with this id; None if the issuer has none.

        Raises:
            Unavailable: The issuer's keys are not known and cannot be had now.
        """
        keys = await self._current()
        if key_id not in keys.by_id:
            keys = await self._perhaps_newer(keys)
        return keys.by_id.get(key_id)

    async def close(self) -> None:
        """Ends a fetch under way and releases connections."""
        self._closed = True
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _current(self) -> _Keys:
        keys, now = self._keys, self._now()
        if keys is None or now >= keys.usable_until:
            return await self._fetched()
        if now >= keys.fresh_until and now >= self._not_before:
            return await self._fetched()
        return keys

    async def _perhaps_newer(self, keys: _Keys) -> _Keys:
        """Fetches again, as the issuer may have new keys; one fetch serves all unknown ids of a while."""
        if self._fetching is None:
            if self._now() < self._unknown_not_before:
                return keys
            self._unknown_not_before = self._now() + RETRY_SECONDS
        return await self._fetched()

    async def _fetched(self) -> _Keys:
        """The keys after a fetch, which all who wait share; the old ones if it fails."""
        if self._closed:
            raise _closed()
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(self._done)
        fetching = self._fetching
        try:
            # A caller that goes away does not end the fetch of the others.
            return await asyncio.shield(fetching)
        except asyncio.CancelledError as error:
            if fetching.cancelled():
                raise _closed() from error
            raise
        except (aiohttp.ClientError, OSError, ValueError, jwt.PyJWTError) as error:
            if self._keys is not None and self._now() < self._keys.usable_until:
                return self._keys
            raise Unavailable(
                "The issuer's keys cannot be had now, so no token can be verified.",
                reason=Reason.IDENTITY_KEYS_UNAVAILABLE,
                retry_after_seconds=FETCH_SECONDS,
            ) from error

    def _done(self, task: asyncio.Task[_Keys]) -> None:
        self._fetching = None
        if task.cancelled() or task.exception() is not None:
            self._not_before = self._now() + RETRY_SECONDS
        else:
            self._keys = task.result()

    async def _fetch(self) -> _Keys:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=FETCH_SECONDS))
        async with self._session.get(self._url, allow_redirects=False) as response:
            if response.status != 200:
                raise ValueError(f"status {response.status} in place of keys")
            body = bytearray()
            async for chunk in response.content.iter_chunked(16_384):
                body += chunk
                if len(body) > MAX_BYTES:
                    raise ValueError("too many bytes for a JWK set")
            age = _age_seconds(response.headers)
        now = self._now()
        return _Keys(_keys_by_id(bytes(body), self._algorithm), now + age, now + age + STALE_SECONDS)


def _closed() -> Unavailable:
    return Unavailable("The identity verifier is closed.", reason=Reason.IDENTITY_KEYS_UNAVAILABLE)


def _keys_by_id(body: bytes, algorithm: str) -> Mapping[str, AllowedPublicKeys]:
    try:
        keys = {
            key.key_id: key.key
            for key in jwt.PyJWKSet.from_dict(json.loads(body))
            if key.algorithm_name == algorithm and key.public_key_use in (None, "sig") and key.key_id
        }
    except (AttributeError, RecursionError, TypeError) as error:
        raise ValueError("not a JWK set") from error
    if not keys:
        raise ValueError(f"no {algorithm} key in the JWK set")
    return keys


def _age_seconds(headers: Mapping[str, str]) -> float:
    """How long the answer may be kept: max-age less the time it spent in caches (RFC 9111)."""
    found = _MAX_AGE.search(headers.get("Cache-Control", ""))
    if found is None:
        return DEFAULT_AGE_SECONDS
    spent = headers.get("Age", "0")
    spent_seconds = int(spent) if spent.isascii() and spent.isdigit() and len(spent) < 10 else 0
    return min(MAX_AGE_SECONDS, max(MIN_AGE_SECONDS, float(found[1]) - spent_seconds))


def _require_private_way(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and (parts.hostname == "localhost" or is_loopback(parts.hostname)):
        return
    raise ConfigurationError("AUTH_KEYS_URL must be an https address", variable="AUTH_KEYS_URL")
