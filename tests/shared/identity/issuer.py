"""An issuer of tokens with keys of its own, which publishes them on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "https://gamgui.example.com"

_RSA_KEYS = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]
_EC_KEYS = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]


class Issuer:
    """Signs tokens and serves its JWK set.

    Attributes:
        requests: How many times the set was asked for.
        asked: Set by the first time.
        answer: In place of the set: (status, body); None serves the set.
        headers: Headers of the answer.
        pause: When set, answers wait for it.
        keys: Published private keys by id.
    """

    def __init__(self, algorithm: str = "RS256") -> None:
        self.algorithm = algorithm
        pair: list[Any] = _RSA_KEYS if algorithm == "RS256" else _EC_KEYS
        self.spare = dict(zip(("one", "two"), pair, strict=True))
        self.keys = {"one": self.spare["one"]}
        self.requests = 0
        self.asked = asyncio.Event()
        self.answer: tuple[int, bytes] | None = None
        self.headers: dict[str, str] = {"Cache-Control": "public, max-age=3600"}
        self.pause: asyncio.Event | None = None
        self.url = ""

    def token(self, kid: str = "one", *, remove: tuple[str, ...] = (), **claims: Any) -> str:
        """A good token, but for ``claims`` and without ``remove``."""
        return self.signed(self.claims(remove=remove, **claims), kid=kid)

    def signed(self, claims: Mapping[str, Any], kid: str = "one") -> str:
        return jwt.encode(dict(claims), self.spare[kid], algorithm=self.algorithm, headers={"kid": kid})

    def claims(self, *, remove: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        issuer = (
            "https://accounts.google.com" if self.algorithm == "RS256" else "https://cloud.google.com/iap"
        )
        claims = {
            "iss": issuer,
            "aud": AUDIENCE,
            "sub": "110169484474386276334",
            "email": "alice@example.com",
            "email_verified": True,
            "hd": "example.com",
            "iat": now - 10,
            "exp": now + 3590,
            **changes,
        }
        return {name: value for name, value in claims.items() if name not in remove}

    def jwk_set(self) -> dict[str, Any]:
        adapter: Any = RSAAlgorithm if self.algorithm == "RS256" else ECAlgorithm
        return {
            "keys": [
                {
                    **adapter.to_jwk(key.public_key(), as_dict=True),
                    "kid": kid,
                    "use": "sig",
                    "alg": self.algorithm,
                }
                for kid, key in self.keys.items()
            ]
        }

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Issuer]:
        app = web.Application()
        app.router.add_get("/keys", self._serve)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/keys"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _serve(self, request: web.Request) -> web.Response:
        self.requests += 1
        self.asked.set()
        if self.pause is not None:
            await self.pause.wait()
        if self.answer is not None:
            status, body = self.answer
            return web.Response(status=status, body=body, headers=self.headers)
        return web.Response(body=json.dumps(self.jwk_set()).encode(), headers=self.headers)
