"""Signed tokens (JWT, RFC 7519): what a good one is, and which fault has which reason.

The algorithm is ours to choose, never the token's (RFC 8725, section 3.1).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import jwt

from shared.errors import Unauthenticated
from shared.identity.keys import KeySet
from shared.reasons import Reason

MAX_TOKEN_BYTES = 8192
LEEWAY_SECONDS = 30
"""By how much the issuer's clock and ours may differ."""

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
# What Cloud Run puts in place of the signature once it has checked the token itself:
# https://cloud.google.com/run/docs/authenticating/service-to-service
_REMOVED = ".SIGNATURE_REMOVED_BY_GOOGLE"
_REQUIRED = ("exp", "iat", "iss", "aud", "sub")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """What a token must be.

    Attributes:
        algorithm: JWA name (RFC 7518), the only one accepted.
        issuers: Values of ``iss`` that are accepted.
        audience: The value of ``aud``.
    """

    algorithm: str
    issuers: tuple[str, ...]
    audience: str


async def verified_claims(token: str, rules: TokenRules, keys: KeySet) -> Mapping[str, Any]:
    """The claims of a good token.

    Args:
        token: A JWT in compact form.
        rules: What it must be.
        keys: The issuer's keys.

    Raises:
        Unauthenticated: The token is not good: reason ``TOKEN_INVALID``, ``TOKEN_EXPIRED``,
            ``TOKEN_AUDIENCE`` or ``TOKEN_ISSUER``.
        Unavailable: The issuer's keys cannot be had now.
    """
    key = await keys.key(_key_id(token, rules.algorithm))
    if key is None:
        raise Unauthenticated(
            "The token is signed with a key that its issuer does not have.", reason=Reason.TOKEN_INVALID
        )
    try:
        return jwt.decode(
            token,
            key=key,
            algorithms=[rules.algorithm],
            audience=rules.audience,
            issuer=rules.issuers,
            leeway=LEEWAY_SECONDS,
            options={"require": list(_REQUIRED), "strict_aud": True},
        )
    except jwt.ExpiredSignatureError as error:
        raise Unauthenticated("The token has expired.", reason=Reason.TOKEN_EXPIRED) from error
    except jwt.InvalidAudienceError as error:
        raise Unauthenticated("The token is for another audience.", reason=Reason.TOKEN_AUDIENCE) from error
    except jwt.InvalidIssuerError as error:
        raise Unauthenticated("The token is of another issuer.", reason=Reason.TOKEN_ISSUER) from error
    except jwt.MissingRequiredClaimError as error:
        reason = {"aud": Reason.TOKEN_AUDIENCE, "iss": Reason.TOKEN_ISSUER}.get(
            error.claim, Reason.TOKEN_INVALID
        )
        raise Unauthenticated(f"The token lacks the claim {error.claim}.", reason=reason) from error
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise Unauthenticated(
            "The token is malformed, not valid yet, or its signature is wrong.", reason=Reason.TOKEN_INVALID
        ) from error


def _key_id(token: str, algorithm: str) -> str:
    """The id of the key that the token claims. A text that is no token of ours causes no look-up."""
    if len(token) > MAX_TOKEN_BYTES or not _COMPACT.fullmatch(token):
        raise Unauthenticated("What was sent is not a token.", reason=Reason.TOKEN_INVALID)
    if token.endswith(_REMOVED):
        raise Unauthenticated(
            "Cloud Run has removed the token's signature: let callers that pass its own check send that "
            "token in X-Serverless-Authorization.",
            reason=Reason.TOKEN_INVALID,
        )
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise Unauthenticated("The token is malformed.", reason=Reason.TOKEN_INVALID) from error
    key_id = header.get("kid")
    if header.get("alg") != algorithm or not isinstance(key_id, str):
        raise Unauthenticated(f"The token is not signed with {algorithm}.", reason=Reason.TOKEN_INVALID)
    return key_id
