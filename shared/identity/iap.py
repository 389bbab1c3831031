"""Identity-Aware Proxy: the signed header that it adds to what it lets pass.

https://cloud.google.com/iap/docs/signed-headers-howto
"""

from __future__ import annotations

from collections.abc import Mapping

from shared.errors import Unauthenticated
from shared.identity.claims import account_domain, email_address, header, iap_subject, require_domain
from shared.identity.keys import KeySet
from shared.identity.model import Identity
from shared.identity.tokens import TokenRules, verified_claims
from shared.reasons import Reason
from shared.settings.identity import IdentitySettings

HEADER = "x-goog-iap-jwt-assertion"
KEYS_URL = "https://www.gstatic.com/iap/verify/public_key-jwk"
ISSUERS = ("https://cloud.google.com/iap",)
ALGORITHM = "ES256"


class IapVerifier:
    """An ``IdentityVerifier`` of what Identity-Aware Proxy signs.

    Args:
        settings: Whom tokens are for, whose keys sign them, and whose domain may call.
        services: Accounts that may call whatever their domain.
    """

    def __init__(self, settings: IdentitySettings, services: tuple[str, ...] = ()) -> None:
        self._rules = TokenRules(algorithm=ALGORITHM, issuers=ISSUERS, audience=settings.audience)
        self._keys = KeySet(settings.keys_url or KEYS_URL, algorithm=ALGORITHM)
        self._allowed_domains = settings.allowed_domains
        self._services = services

    async def verify(self, headers: Mapping[str, str], client_host: str | None) -> Identity:
        """See ``IdentityVerifier.verify``; the proxy lets only verified e-mails pass."""
        token = header(headers, HEADER)
        if token is None:
            raise Unauthenticated(
                "The request did not come through Identity-Aware Proxy.", reason=Reason.TOKEN_MISSING
            )
        claims = await verified_claims(token, self._rules, self._keys)
        email = email_address(claims.get("email"))
        if email is None:
            raise Unauthenticated("The token names no e-mail address.", reason=Reason.EMAIL_NOT_VERIFIED)
        identity = Identity(
            email=email, subject=iap_subject(claims["sub"]), domain=account_domain(email, claims.get("hd"))
        )
        return require_domain(identity, self._allowed_domains, self._services)

    async def close(self) -> None:
        """See ``IdentityVerifier.close``."""
        await self._keys.close()
