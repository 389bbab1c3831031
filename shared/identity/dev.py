"""The development identity: it believes a header of requests that come straight from this machine."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from shared.errors import Unauthenticated
from shared.identity.claims import email_address, email_domain, header, require_domain
from shared.identity.forwarded import foreign_page, proxy_header
from shared.identity.loopback import is_local_name, is_loopback
from shared.identity.model import Identity
from shared.reasons import Reason

HEADER = "x-dev-user"


class DevVerifier:
    """An ``IdentityVerifier`` that believes the header X-Dev-User of callers on loopback.

    Args:
        allowed_domains: Domains whose users may call; empty: any.
        clients: Origins of other web pages on this machine that may call.
    """

    def __init__(self, *, allowed_domains: tuple[str, ...] = (), clients: Collection[str] = ()) -> None:
        self._allowed_domains = allowed_domains
        self._clients = frozenset(clients)

    async def verify(self, headers: Mapping[str, str], client_host: str | None) -> Identity:
        """See ``IdentityVerifier.verify``; the header holds an e-mail address in ASCII."""
        if not is_loopback(client_host):
            raise Unauthenticated(
                "The development identity is believed on the loopback interface only.",
                reason=Reason.IDENTITY_NOT_LOCAL,
            )
        if not is_local_name(header(headers, "host")):
            # The owner of a foreign page can make its name resolve to this machine (DNS rebinding).
            raise Unauthenticated(
                "The development identity is believed under the name localhost only.",
                reason=Reason.IDENTITY_NOT_LOCAL,
            )
        added = proxy_header(headers.keys())
        if added is not None:
            raise Unauthenticated(
                f"The header {added[:100]} shows that a proxy or tunnel passed the request on: anybody who "
                "reaches that would be believed to be whoever he says. The development identity is for "
                "programs on this machine that call directly; deploy to be called from elsewhere.",
                reason=Reason.IDENTITY_NOT_LOCAL,
            )
        if foreign_page(headers.items(), self._clients):
            raise Unauthenticated(
                "A browser sent the request for a page of another origin (Origin, Sec-Fetch-Site), and any "
                "page could. If the page is one of yours on this machine, name its origin in DEV_CLIENTS.",
                reason=Reason.IDENTITY_NOT_LOCAL,
            )
        value = header(headers, HEADER)
        if value is None:
            raise Unauthenticated(
                "The header X-Dev-User is missing; it names who calls.", reason=Reason.TOKEN_MISSING
            )
        email = email_address(value)
        if email is None or not email.isascii():
            raise Unauthenticated(
                "The header X-Dev-User is not an e-mail address.", reason=Reason.TOKEN_INVALID
            )
        identity = Identity(email=email, subject=f"dev:{email}", domain=email_domain(email))
        return require_domain(identity, self._allowed_domains)

    async def close(self) -> None:
        """See ``IdentityVerifier.close``: there is nothing to release."""
