"""Who calls, as the use cases know him."""

from __future__ import annotations

import dataclasses


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


NOBODY = Person(subject="", email="")
"""Who calls where no identity is asked for."""
