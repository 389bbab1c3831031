"""How many requests one caller may make."""

from __future__ import annotations

from shared.settings.setting import Group, setting


class RateSettings(Group):
    """How many requests one caller may make."""

    per_minute: int = setting(
        "REQUEST_RATE_PER_MINUTE",
        default=6000,
        doc="Requests a minute of one caller to one function; more get 429. Each instance counts its own",
    )
    burst: int = setting(
        "REQUEST_BURST", default=3000, doc="Requests at once, before REQUEST_RATE_PER_MINUTE counts"
    )
