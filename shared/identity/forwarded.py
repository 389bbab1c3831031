"""What shows that a request does not come straight from a program on this machine.

A proxy or a tunnel connects from loopback, so its address tells nothing. What it adds to the requests
that it passes on does. A browser on this machine runs other people's pages; it says whose page asks
(https://fetch.spec.whatwg.org/#origin-header, https://www.w3.org/TR/fetch-metadata/).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from shared.identity.loopback import is_local_name

_NAMES = frozenset(
    {
        *("forwarded", "via", "client-ip", "true-client-ip", "cdn-loop", "front-end-https", "remote-user"),
        *("max-forwards", "x-scheme", "x-host", "x-rewrite-url", "x-url-scheme", "x-proxyuser-ip", "dnt-ip"),
        *("x-cluster-client-ip", "x-request-start", "x-coming-from", "x-from-ip", "x-ip", "x-remote-user"),
    }
)
_PREFIXES = (
    *("x-forwarded", "x-forward-", "forwarded-", "x-real-", "x-original-", "x-client-", "x-remote-"),
    *("x-envoy-", "x-proxy-", "proxy-", "x-via", "x-auth-request-", "x-tunnel-", "x-varnish", "x-traefik-"),
    *("cf-", "x-cf-", "fastly-", "akamai-", "x-akamai-", "x-amz-cf-", "x-amzn-", "x-azure-", "x-arr-"),
    *(
        "x-appengine-",
        "x-goog-",
        "x-cloud-trace-",
        "x-github-",
        "x-codespaces-",
        "x-ms-",
        "ngrok-",
        "x-ngrok-",
    ),
    *(
        "ngrok-",
        "x-ngrok-",
        "tailscale-",
        "fly-",
        "x-vercel-",
        "x-nf-",
        "x-heroku-",
        "x-replit-",
        "x-gitpod-",
        "wl-proxy-",
    ),
    *("bypass-tunnel-", "x-localtunnel-", "x-cloudflare-", "x-pagekite-", "x-forwarder-"),
)
"""Of nginx, Apache, Envoy, Traefik, CDNs, platforms and tunnels. In lower case, words joined by ``-``."""

_LOCAL_ORIGINS = ("http://localhost", "http://127.0.0.1", "http://[::1]")
_DEFAULT_PORT = "80"


def proxy_header(names: Iterable[str]) -> str | None:
    """The first of these header names, in any case, that a proxy adds; None if there is none.

    Some servers read ``_`` for ``-``, so both are the same here.
    """
    for name in names:
        plain = name.strip().lower().replace("_", "-")
        if plain in _NAMES or plain.startswith(_PREFIXES):
            return plain
    return None


def foreign_page(headers: Iterable[tuple[str, str]], clients: Collection[str]) -> bool:
    """Whether a browser sends this for a page that may not call.

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
