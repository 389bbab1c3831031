"""Who calls, as the use cases know him."""

from __future__ import annotations

import dataclasses

from shared.errors import Conflict
from shared.reasons import Reason


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A verified caller: a human or a service account.

    Attributes:
        subject: Who it is, in one normal form for all ways to call: ``google:42``, ``dev:ann@example.com``.
            It never changes, and is never given to somebody else.
        email: E-mail address, lower case. It may be given to somebody else one day.
    """

    subject: str
    email: str


def require_same(subject: str, person: Person) -> None:
    """Refuses a person whose e-mail address something was kept for when it was somebody else's.

    Args:
        subject: Whose it is; empty when that is not known yet.
        person: Who has the address now.

    Raises:
        Conflict: It is another's (reason ``OWNER_CHANGED``).
    """
    if subject not in ("", person.subject):
        raise Conflict(
            "this was made under your e-mail address by another account, which had the address before: "
            f"ask the operator to pass it on to {person.subject} (POST /v1/owners/{person.email}/rebind), "
            f"or to remove it (DELETE /v1/owners/{person.email}/credentials, and sessions one by one)",
            reason=Reason.OWNER_CHANGED,
        )


NOBODY = Person(subject="", email="")
"""Who calls where no identity is asked for."""
