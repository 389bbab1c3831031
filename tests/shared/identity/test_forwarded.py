"""The development identity believes programs on this machine, not what a proxy or a browser passes on."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from shared.errors import ConfigurationError, Unauthenticated
from shared.identity import Identity, identity_verifier
from shared.reasons import Reason
from shared.settings import Settings
from shared.settings.identity import IdentitySettings

CLIENT = "http://127.0.0.1:3001"
HOST = "localhost:8080"
CURL = {"X-Dev-User": "alice@example.com", "Host": HOST, "User-Agent": "curl/8", "Accept": "*/*"}

ADDED = [
    "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Server",
    "X-Forwarded-Prefix", "X-Forwarded", "X-Forwarded-Client-Cert", "X-Forwarded-User", "Forwarded",
    "Forwarded-For", "Via", "X-Real-IP", "CF-Connecting-IP", "CF-Ray", "CF-Visitor", "True-Client-IP",
    "X-Original-Host", "X-Original-URL", "X-Original-Forwarded-For", "X-Client-IP", "Client-IP",
    "X-Cluster-Client-IP", "X-Envoy-External-Address", "X-Envoy-Original-Path", "X-Azure-ClientIP",
    "X-GitHub-Token", "X-Codespaces-Forwarded", "ngrok-skip-browser-warning", "X-MS-Proxy",
    "Fastly-Client-IP",
    "X-Amzn-Trace-Id", "Tailscale-User-Login", "Fly-Client-IP", "X-Vercel-Forwarded-For", "CDN-Loop",
    "X-Remote-Addr", "Proxy-Connection", "X-Proxy-User", "WL-Proxy-Client-IP", "X-ARR-SSL", "X-Scheme",
    "X-AppEngine-User-IP", "X-Goog-IAP-JWT-Assertion", "X-Cloud-Trace-Context", "X-Auth-Request-Email",
    "X-Rewrite-URL", "X-ProxyUser-Ip", "X-Tunnel-Id", "Cf-Access-Jwt-Assertion", "X-AppEngine-Country",
    "Remote-User", "Remote-Email", "X-RealIP", "X-ClientIP", "X-IMForwards", "Z-Forwarded-For",
    "Incap-Client-IP", "X-Sucuri-ClientIP", "Ali-CDN-Real-IP", "Cdn-Src-Ip", "X-CDN-Pop", "X-BlueCoat-Via",
    "X-Originating-IP", "Source-IP", "X-HAProxy-Server-State", "X-Kong-Request-Id", "X-Consumer-Username",
    "X-Authentik-Email", "X-Pomerium-Claim-Email", "Teleport-Jwt-Assertion", "L5d-Client-Id",
    "X-Railway-Edge", "Rndr-Id", "X-Ingress-Path", "X-SSL-Client-Cert", "SSL-Client-Cert",
    "X-Pinggy-No-Screen", "X-Zrok-Interstitial", "Skip-Zrok-Interstitial", "X-Authenticated-User",
    "X-Forwardedfor", "X-WebAuth-User", "X-Zscaler-Info",
    "X-Edge-Location", "X-Caddy-Request-Id", "X-Istio-Attributes", "X-Daytona-Preview-Token",
    "X-Tunnels-Auth",
]  # fmt: skip

HARMLESS = [
    "Accept-Encoding", "Content-Type", "Content-Length", "Idempotency-Key", "If-Match", "Last-Event-ID",
    "X-Request-Id", "traceparent", "Connection", "Upgrade", "Origin-Agent-Cluster", "Cookie", "Range",
    "X-Requested-With", "DNT", "Sec-GPC", "Sec-CH-UA-Platform", "Sec-Fetch-Mode", "Referer", "Priority",
    "Upgrade-Insecure-Requests", "Prefer", "X-B3-TraceId", "TE", "Content-Digest", "Expect",
    "Pragma", "X-Correlation-Id",
]  # fmt: skip


async def verified(headers: list[tuple[str, str]], *clients: str) -> Identity:
    verifier = identity_verifier(IdentitySettings(auth_mode="dev", dev_clients=clients))
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return await verifier.verify(Headers(raw=raw), "127.0.0.1")


async def refused(headers: list[tuple[str, str]], *clients: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await verified(headers, *clients)
    assert caught.value.reason == Reason.IDENTITY_NOT_LOCAL


VALUES = st.text(alphabet=string.printable.strip(), max_size=20)


@given(
    name=st.sampled_from(ADDED)
    | st.text(string.ascii_letters + "-", max_size=9).map("X-Forwarded-{}".format),
    upper=st.lists(st.booleans(), min_size=40, max_size=40),
    value=VALUES,
    times=st.integers(1, 3),
    underscores=st.booleans(),
    clients=st.sampled_from([(), (CLIENT,)]),
)
async def test_whatever_a_proxy_adds_is_refused_however_it_is_written(
    name: str, upper: list[bool], value: str, times: int, underscores: bool, clients: tuple[str, ...]
) -> None:
    written = "".join(
        c.upper() if up else c.lower() for c, up in zip(name, upper + [False] * len(name), strict=False)
    )
    written = written.replace("-", "_") if underscores else written
    await refused([*CURL.items(), *[(written, value)] * times], *clients)


@given(st.sampled_from(HARMLESS), VALUES)
async def test_what_programs_send_themselves_is_not(name: str, value: str) -> None:
    assert (await verified([*CURL.items(), (name, value)])).email == "alice@example.com"


FOREIGN = [
    "null", "", "https://evil.example", "http://localhost:3001", "http://localhost", "https://localhost:8080",
    "http://localhost:8080.evil.example", "http://localhost.evil.example:8080", "http://evil.example:8080",
    "http://user@localhost:8080", "http://localhost:8080/", "http://localhost:80800", "http://127.0.0.2:8080",
    "http://127.0.0.1:3002", "http://127.0.0.1:3001/", "http://127.0.0.1:3001@evil.example", "localhost:8080",
    "http://127.0.0.1:3001, http://evil.example", "HTTP://127.0.0.1:3001.evil", "file://",
    "chrome-extension://abcdefghijklmnop",
]  # fmt: skip
OWN = ["http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"]


@pytest.mark.parametrize("origin", FOREIGN)
async def test_a_page_of_another_origin_is_refused(origin: str) -> None:
    await refused([*CURL.items(), ("Origin", origin)], CLIENT)
    for good in (*OWN, CLIENT):
        await refused([*CURL.items(), ("Origin", good), ("Origin", origin)], CLIENT)
        await refused([*CURL.items(), ("Origin", origin), ("Origin", good)], CLIENT)


@given(st.text(alphabet=string.printable.strip(), max_size=40))
async def test_only_named_origins_may_call(origin: str) -> None:
    if origin not in (*OWN, CLIENT):
        await refused([*CURL.items(), ("Origin", origin)], CLIENT)


@pytest.mark.parametrize("origin", OWN)
@pytest.mark.parametrize("site", ["same-origin", "none"])
async def test_a_page_of_the_servers_own_may_call(origin: str, site: str) -> None:
    assert await verified([*CURL.items(), ("Origin", origin), ("Sec-Fetch-Site", site)])


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "localhost:80"])
async def test_a_host_without_a_port_is_at_port_80(host: str) -> None:
    headers = {**CURL, "Host": host}
    assert await verified([*headers.items(), ("Origin", "http://localhost")])
    await refused([*headers.items(), ("Origin", "http://localhost:8080")])


async def test_a_client_that_is_named_may_call() -> None:
    assert await verified([*CURL.items(), ("Origin", CLIENT)], CLIENT)
    assert await verified([*CURL.items(), ("Origin", CLIENT), ("Sec-Fetch-Site", "same-site")], CLIENT)
    await refused([*CURL.items(), ("Origin", CLIENT), ("Sec-Fetch-Site", "same-site")])
    await refused([*CURL.items(), ("Sec-Fetch-Site", "same-site")], CLIENT)
    await refused([*CURL.items(), ("Origin", OWN[0]), ("Sec-Fetch-Site", "same-site")], CLIENT)


@given(site=VALUES | st.just("cross-site"), origin=st.sampled_from([None, *OWN, CLIENT]))
async def test_another_site_is_refused_whatever_its_origin_says(site: str, origin: str | None) -> None:
    if site in ("same-origin", "none", "same-site"):
        return
    said = [] if origin is None else [("Origin", origin)]
    await refused([*CURL.items(), *said, ("Sec-Fetch-Site", site)], CLIENT)
    await refused([*CURL.items(), *said, ("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", site)], CLIENT)


@pytest.mark.parametrize(
    "origin",
    [
        "*", "null", "https://127.0.0.1:3001", "http://evil.example", "http://localhost.evil.example",
        "http://127.0.0.1:3001/", "http://10.0.0.1:3001", "127.0.0.1:3001", "http://[::2]:1", "http://localhost:",
        "http://0.0.0.0:3001", "http://localhost:0", "http://user@localhost", "http://localhost\u3002:1",
    ],
)  # fmt: skip
def test_only_origins_on_this_machine_can_be_named(origin: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        IdentitySettings(auth_mode="dev", dev_clients=(CLIENT, origin))
    assert caught.value.fields["variable"] == "DEV_CLIENTS"


def test_several_can_be_named() -> None:
    settings = Settings.from_env({"AUTH_MODE": "dev", "DEV_CLIENTS": f"{CLIENT}, http://[::1]:5173"}).identity
    assert settings.dev_clients == (CLIENT, "http://[::1]:5173")
