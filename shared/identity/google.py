"""Google-signed ID tokens in ``Authorization: Bearer``: people and service accounts.

https://developers.google.com/identity/openid-connect/openid-connect#an-id-tokens-payload
"""

from __future__ import annotations

from collections.abc import Mapping

from shared.errors import Unauthenticated
from shared.identity.claims import account_domain, email_address, google_subject, header, require_domain
from shared.identity.keys import KeySet
from shared.identity.model import Identity
from shared.identity.tokens import TokenRules, verified_claims
from shared.reasons import Reason
from shared.settings.identity import IdentitySettings

KEYS_URL = "https://www.googleapis.com/oauth2/v3/certs"
ISSUERS = ("accounts.google.com", "https://accounts.google.com")
ALGORITHM = "RS256"


class GoogleVerifier:
    """An ``IdentityVerifier`` of Google-signed ID tokens.

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
        """See ``IdentityVerifier.verify``; a token without a verified e-mail is refused."""
        claims = await verified_claims(_bearer_token(headers), self._rules, self._keys)
        email = email_address(claims.get("email"))
        if email is None or claims.get("email_verified") is not True:
            raise Unauthenticated(
                "The token names no verified e-mail address. A service account must ask for its token "
                "with the e-mail included.",
                reason=Reason.EMAIL_NOT_VERIFIED,
            )
        identity = Identity(
            email=email, subject=google_subject(claims["sub"]), domain=account_domain(email, claims.get("hd"))
        )
        return require_domain(identity, self._allowed_domains, self._services)

    async def close(self) -> None:
        """See ``IdentityVerifier.close``."""
        await self._keys.close()


def _bearer_token(headers: Mapping[str, str]) -> str:
    """The token of the header Authorization (RFC 6750, section 2.1)."""
    value = header(headers, "authorization")
    if value is None:
        raise Unauthenticated("The header Authorization is missing.", reason=Reason.TOKEN_MISSING)
    scheme, _, token = value.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("The header Authorization holds no Bearer token.", reason=Reason.TOKEN_INVALID)
    if not token.strip():
        raise Unauthenticated("The Bearer token is missing.", reason=Reason.TOKEN_MISSING)
    return token.strip()
