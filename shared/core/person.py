"""The caller, as the use cases know him."""

from __future__ import annotations

import dataclasses

from shared.errors import Conflict
from shared.reasons import Reason


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A verified caller: a human or a service account.

    Attributes:
        subject: The identity, in one form for all ways to call: ``google:42``, ``dev:ann@example.com``.
            It never changes, and never belongs to another person.
        email: E-mail address, lower case. It may belong to another person one day.
    """

    subject: str
    email: str


def require_same(subject: str, person: Person) -> None:
    """Refuses a person when a thing stored under his e-mail address belongs to an earlier holder of it.

    Args:
        subject: ``Person.subject`` of the thing's owner; empty when that is not known yet.
        person: The person who has the address now.

    Raises:
        Conflict: The thing belongs to another person (reason ``OWNER_CHANGED``).
    """
    if subject not in ("", person.subject):
        raise Conflict(
            "this was made under your e-mail address by another account, which had the address before: "
            f"ask the operator to pass it on to {person.subject} (POST /v1/owners/{person.email}/rebind), "
            f"or to remove it (DELETE /v1/owners/{person.email}/credentials, and sessions one by one)",
            reason=Reason.OWNER_CHANGED,
        )


NOBODY = Person(subject="", email="")
"""The caller of routes that ask for no identity."""
