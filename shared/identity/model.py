"""Who calls, and the port of the adapters that find out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Protocol

from shared.core.person import Person


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A verified caller.

    Attributes:
        email: E-mail address, lower case.
        subject: See ``Person``.
        domain: What ``ALLOWED_DOMAINS`` is compared with, lower case: the Workspace domain
            that the issuer states (claim ``hd``), or the e-mail's for accounts whose
            e-mail proves it (service accounts, the development identity). None for an
            account of no Workspace domain, even if its e-mail address has one.
    """

    email: str
    subject: str
    domain: str | None

    @property
    def person(self) -> Person:
        """Who it is to the use cases."""
        return Person(subject=self.subject, email=self.email)


class IdentityVerifier(Protocol):
    """Finds out who sent a request."""

    async def verify(self, headers: Mapping[str, str], client_host: str | None) -> Identity:
        """Verifies what the request shows.

        Args:
            headers: The request's headers; the case of their names does not matter.
            client_host: Address of the peer of the connection, None when unknown.

        Raises:
            Unauthenticated: The request has no proof, or it does not verify; the reason says which.
            PermissionDenied: Verified, but not of an allowed domain (``DOMAIN_NOT_ALLOWED``).
            Unavailable: The issuer's keys cannot be had now.
        """
        ...

    async def close(self) -> None:
        """Releases connections. The verifier is not used afterwards."""
        ...
