"""What a session gets when its request does not say, and the most that a request may ask for."""

from __future__ import annotations

from shared.settings.setting import Group, setting
from shared.settings.values import require_order, size


class SessionSettings(Group):
    """What a session gets when its request does not say, and the most that a request may ask for.

    Raises:
        ConfigurationError: A value is malformed, or larger than its limit; names the variable.
    """

    cpu: str = setting("SESSION_CPU", default="500m", doc="CPU of a session that does not say")
    memory: str = setting("SESSION_MEMORY", default="512Mi", doc="Memory of a session that does not say")
    max_cpu: str = setting("MAX_SESSION_CPU", default="2", doc="Most CPU that a session may ask for")
    max_memory: str = setting(
        "MAX_SESSION_MEMORY", default="4Gi", doc="Most memory that a session may ask for"
    )
    ttl_seconds: int = setting(
        "SESSION_TTL_SECONDS", default=28800, doc="Life of a session that does not say"
    )
    max_ttl_seconds: int = setting(
        "MAX_TTL_SECONDS", default=86400, doc="Longest life that a session may ask for"
    )
    idle_seconds: int = setting(
        "SESSION_IDLE_SECONDS", default=3600, doc="Idle limit of a session that does not say"
    )
    max_per_owner: int = setting(
        "MAX_SESSIONS_PER_OWNER",
        default=25,
        doc="Sessions of one owner that are pending or running; more are refused",
    )

    def check(self) -> None:
        """See ``Group``."""
        cpu, memory = size("SESSION_CPU", self.cpu), size("SESSION_MEMORY", self.memory)
        require_order("SESSION_CPU", cpu, "MAX_SESSION_CPU", size("MAX_SESSION_CPU", self.max_cpu))
        most_memory = size("MAX_SESSION_MEMORY", self.max_memory)
        require_order("SESSION_MEMORY", memory, "MAX_SESSION_MEMORY", most_memory)
        require_order("SESSION_TTL_SECONDS", self.ttl_seconds, "MAX_TTL_SECONDS", self.max_ttl_seconds)
