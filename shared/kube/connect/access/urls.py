"""Checks addresses that others wrote: URLs, host names, IP addresses."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?")
_URL_CHARACTERS = re.compile(r"[!-~]+")


def is_base_url(url: str, schemes: tuple[str, ...]) -> bool:
    """Whether this is an absolute URL of one of the schemes, without query and fragment."""
    if not _URL_CHARACTERS.fullmatch(url) or not url.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return bool(
        parts.hostname and is_host(parts.hostname) and port != 0 and "?" not in url and "#" not in url
    )


def is_host(text: str) -> bool:
    """Whether this is an IP address or a host name."""
    return is_ip(text) or bool(_HOST.fullmatch(text) and len(text) <= 253 and ".." not in text)


def is_ip(text: str) -> bool:
    """Whether this is an IPv4 or IPv6 address, without brackets."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
