"""The names that the main.py of a function needs."""

from __future__ import annotations

from shared.web.http.call import Call
from shared.web.http.entry import Entry
from shared.web.http.routing import Route, SocketRoute

__all__ = ["Call", "Entry", "Route", "SocketRoute"]
