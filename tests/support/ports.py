"""Ports for servers that cannot be told to take any."""

from __future__ import annotations

import random
import socket

_RANGE = range(20_000, 32_000)
"""Below those that Linux gives to whoever asks for any port (ip_local_port_range begins at 32,768)."""

_CLAIMS: list[socket.socket] = []


def free_port() -> int:
    """A port on loopback that nobody listens on, and that no other test gets as long as this process lives.

    The UDP port of the same number is the claim: tests run in several processes, and between the question
    for a free port and the server's start another of them could take it.
    """
    for port in random.sample(_RANGE, len(_RANGE)):
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind(("127.0.0.1", port))
            with socket.create_server(("127.0.0.1", port)):
                _CLAIMS.append(claim)
                return port
        except OSError:
            claim.close()
    raise AssertionError(f"no port of {_RANGE} is free")
