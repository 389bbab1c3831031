"""What shows that a request does not come straight from a program on this machine.

A proxy or a tunnel connects from loopback, so its address tells nothing. The headers that it adds to requests
tell. A browser on this machine runs other people's pages; it says whose page asks
(https://fetch.spec.whatwg.org/#origin-header, https://www.w3.org/TR/fetch-metadata/).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from shared.identity.loopback import is_local_name

_SAYS_SO = re.compile(
    r"forward|prox(?:y|ied)|tunnel|clientip|realip|(?:^|-)(?:via|ip|cdn|ingress|remote|originating|interstitial)"
    r"(?:-|$)"
)
_NAMES = frozenset(
    {
        *("front-end-https", "x-scheme", "x-host", "x-rewrite-url", "x-url-scheme", "x-request-start"),
        *("x-coming-from", "eagleid", "x-cloud-trace-context"),
    }
)
_PREFIXES = ("x-real-", "x-original-", "x-client-", "x-ssl-", "ssl-", "auth-request-", "x-auth-request-")
_PRODUCTS = frozenset(
    {
        *("apache", "caddy", "envoy", "istio", "kong", "l5d", "nginx", "squid", "traefik", "varnish"),
        *("authenticated", "authentik", "consumer", "credential", "pomerium", "teleport", "webauth"),
        *("akamai", "ali", "amz", "amzn", "appengine", "arr", "azure", "bluecoat", "cf", "cloudflare"),
        *("fastly", "fly", "goog", "heroku", "incap", "koyeb", "ms", "nf", "railway", "render", "rndr"),
        *("edge", "sucuri", "vercel", "wl", "zscaler"),
        *("codespaces", "coder", "daytona", "github", "gitpod", "replit"),
        *("bore", "expose", "ngrok", "pagekite", "pinggy", "serveo", "tailscale", "zrok"),
    }
)
"""The first word, behind ``x-`` or not, of what proxies, CDNs, platforms and tunnels call their headers."""

_LOCAL_ORIGINS = ("http://localhost", "http://127.0.0.1", "http://[::1]")
_DEFAULT_PORT = "80"


def proxy_header(names: Iterable[str]) -> str | None:
    """The first of these header names, in any case, that a proxy adds; None if there is none.

    Some servers read ``_`` as ``-``, so this function treats them as equal.
    """
    for name in names:
        plain = name.strip().lower().replace("_", "-")
        first = plain.removeprefix("x-").partition("-")[0]
        if plain in _NAMES or first in _PRODUCTS or plain.startswith(_PREFIXES) or _SAYS_SO.search(plain):
            return plain
    return None


def foreign_page(headers: Iterable[tuple[str, str]], clients: Collection[str]) -> bool:
    """Whether a browser sends this request for a page that may not call.

    Args:
        headers: All headers, names in any case, the same name as often as it was sent.
        clients: Origins that may call beside this server's own.
    """
    found = [(name.strip().lower(), value.strip()) for name, value in headers]
    origins = [value for name, value in found if name == "origin"]
    sites = [value for name, value in found if name == "sec-fetch-site"]
    hosts = [value for name, value in found if name == "host"]
    own = _own_origins(hosts[0]) if len(hosts) == 1 else frozenset()
    listed = bool(origins) and all(origin in clients for origin in origins)
    allowed = {"same-origin", "none", *(("same-site",) if listed else ())}
    return not all(origin in own or origin in clients for origin in origins) or not allowed.issuperset(sites)


def _own_origins(host: str) -> frozenset[str]:
    """The origins of this server's own pages, by the header Host of a request."""
    found = re.fullmatch(r"(?:\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?", host)
    if found is None or not is_local_name(host):
        return frozenset()
    port = found[1] or _DEFAULT_PORT
    with_port = [f"{origin}:{port}" for origin in _LOCAL_ORIGINS]
    return frozenset([*with_port, *(_LOCAL_ORIGINS if port == _DEFAULT_PORT else ())])
