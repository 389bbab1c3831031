"""An owner's share of a cluster: most CPU, memory and disk that all his live sessions on it may have.

The share is in the units that are scarce. A number of sessions alone would let one owner take, with a few
large sessions, what the namespace's quota holds for all owners.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from decimal import Decimal

from shared.core.sessions.model import Session
from shared.errors import TooManyRequests
from shared.quantities import quantity
from shared.reasons import Reason

_RETRY_SECONDS = 60


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OwnerShare:
    """What one owner may have of one cluster.

    Attributes:
        cpu: CPUs.
        memory: Bytes of memory.
        disk: Bytes of disk.
        disk_of_session: Bytes of disk that a session has whose document does not say, which an earlier
            release has stored.
    """

    cpu: Decimal
    memory: Decimal
    disk: Decimal
    disk_of_session: int

    def require_room(self, session: Session, others: Sequence[Session]) -> None:
        """Refuses a session for which the owner's share has no room.

        Args:
            session: The new session.
            others: All other live sessions of its owner, on any cluster.

        Raises:
            TooManyRequests: The session and those on its cluster would have more than the share (reason
                ``OWNER_SHARE_EXCEEDED``).
        """
        beside = [self._amounts(other) for other in others if _may_share_cluster(session, other)]
        limits = {"cpu": self.cpu, "memory": self.memory, "disk": self.disk}
        for name, asked in self._amounts(session).items():
            used = sum((amounts[name] for amounts in beside), Decimal(0))
            if used + asked > limits[name]:
                raise TooManyRequests(
                    f"your sessions have {used:f} of {limits[name]:f} {_UNITS[name]}, which is the most, and "
                    f"this one asks for {asked:f}: delete one, or ask for less",
                    reason=Reason.OWNER_SHARE_EXCEEDED,
                    retry_after_seconds=_RETRY_SECONDS,
                    resource=name,
                    limit=f"{limits[name]:f}",
                    used=f"{used:f}",
                    asked=f"{asked:f}",
                )

    def _amounts(self, session: Session) -> dict[str, Decimal]:
        disk = self.disk_of_session if session.disk_bytes is None else session.disk_bytes
        return {
            "cpu": quantity(session.resources.cpu),
            "memory": quantity(session.resources.memory),
            "disk": Decimal(disk),
        }


_UNITS = {"cpu": "CPUs", "memory": "bytes of memory", "disk": "bytes of disk"}


def _may_share_cluster(one: Session, other: Session) -> bool:
    """Whether two sessions are on one cluster. If that is not known, those of one connection are."""
    (kind, known), (other_kind, other_known) = (
        session.cluster_identity.split(":", 1) if ":" in session.cluster_identity else ("", "")
        for session in (one, other)
    )
    if known and other_known and kind == other_kind:
        return known == other_known
    return one.connection_id == other.connection_id
