"""Google's token sources: the metadata server of Cloud Run, and the OAuth endpoint for key files.

Paths and answers: https://cloud.google.com/run/docs/container-contract#metadata-server and
https://developers.google.com/identity/protocols/oauth2/service-account#httprest.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.web_server import WebServer

EMAIL = "functions@test-project.iam.gserviceaccount.com"


class MetadataServer(WebServer):
    """Gives a new access token for every request, and keeps count.

    Attributes:
        tokens: The tokens given, in order.
        scopes: The scopes asked for with each.
        expires_in: Life of the next token, in seconds.
        status: Status of the next answers to requests for tokens.
        hold: While it is cleared, requests for tokens wait.
    """

    def __init__(self, *, project: str = "test-project", expires_in: int = 3600) -> None:
        super().__init__()
        self.project = project
        self.tokens: list[str] = []
        self.scopes: list[set[str]] = []
        self.expires_in = expires_in
        self.status = 200
        self.body: str | None = None
        self.hold = asyncio.Event()
        self.hold.set()
        account = "/computeMetadata/v1/instance/service-accounts/{account}"
        self.app.add_routes(
            [
                web.get("/", self._text("computeMetadata/")),
                web.get("/computeMetadata/v1/project/project-id", self._text(project)),
                web.get("/computeMetadata/v1/universe/universe-domain", self._text("googleapis.com")),
                web.get(account + "/", self._account),
                web.get(account + "/token", self._metadata_token),
                web.post("/token", self._oauth_token),
            ]
        )

    @property
    def environment(self) -> dict[str, str]:
        """What points google-auth at this server."""
        return {"GCE_METADATA_HOST": self.address, "GCE_METADATA_IP": self.address}

    def write_key_file(self, path: Path) -> str:
        """Writes a service account's key file whose tokens come from here; returns the path."""
        info = {
            "type": "service_account",
            "project_id": self.project,
            "private_key_id": "1",
            "private_key": _private_key(),
            "client_email": EMAIL,
            "client_id": "123456789",
            "token_uri": f"http://{self.address}/token",
        }
        path.write_text(json.dumps(info))
        return str(path)

    @staticmethod
    def _text(text: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(request: web.Request) -> web.Response:
            return web.Response(text=text, headers={"Metadata-Flavor": "Google"})

        return handler

    async def _account(self, request: web.Request) -> web.Response:
        info = {"aliases": ["default"], "email": EMAIL, "scopes": []}
        return web.json_response(info, headers={"Metadata-Flavor": "Google"})

    async def _metadata_token(self, request: web.Request) -> web.Response:
        if request.headers.get("Metadata-Flavor") != "Google":
            return web.Response(status=403)
        return await self._token(set(request.query.get("scopes", "").split(",")))

    async def _oauth_token(self, request: web.Request) -> web.Response:
        form = await request.post()
        claims = jwt.decode(str(form["assertion"]), options={"verify_signature": False})
        return await self._token(set(claims["scope"].split()))

    async def _token(self, scopes: set[str]) -> web.Response:
        await self.hold.wait()
        if self.status != 200:
            return web.json_response({"error": "invalid_grant"}, status=self.status)
        if self.body is not None:
            return web.Response(text=self.body, content_type="application/json")
        self.tokens.append(f"token-{len(self.tokens) + 1}")
        self.scopes.append(scopes)
        return web.json_response(
            {"access_token": self.tokens[-1], "expires_in": self.expires_in, "token_type": "Bearer"}
        )


@functools.cache
def _private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
