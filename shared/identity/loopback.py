"""Which addresses are this machine's own."""

from __future__ import annotations

import ipaddress


def is_loopback(address: str | None) -> bool:
    """Whether this is an IP address of the loopback interface; a host name is not."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    # ::ffff:127.0.0.1 is how a dual-stack socket shows an IPv4 peer (RFC 4291, 2.5.5.2).
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback


def is_local_name(host: str | None) -> bool:
    """Whether a Host header names this machine by ``localhost`` or a loopback address, or is missing.

    Args:
        host: The header's value, with or without a port.
    """
    if host is None:
        return True
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    return name.lower() == "localhost" or is_loopback(name.strip("[]"))
