"""Rules that all verifiers share: how headers are read, the form of e-mail addresses, the allowed domains."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping

from shared.errors import PermissionDenied, Unauthenticated
from shared.identity.model import Identity
from shared.reasons import Reason

MAX_EMAIL_CHARACTERS = 320
"""Local part (64), ``@`` and domain (255): RFC 5321, section 4.5.3.1."""

_EMAIL = re.compile(r"[^\s@,;:<>()\[\]\\\"\x00-\x1f\x7f-\x9f]+@[^\s@,;:<>()\[\]\\\"\x00-\x1f\x7f-\x9f]+")
_ACCOUNT = re.compile(r"[!-~]{1,255}")
"""``sub``: at most 255 ASCII characters (OpenID Connect Core 1.0, section 2)."""

_GOOGLE_ACCOUNTS = "accounts.google.com:"
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def header(headers: Mapping[str, str], name: str) -> str | None:
    """The header's value without surrounding space; None if it is absent or empty.

    Raises:
        Unauthenticated: The header was sent twice, and nobody can tell which one counts
            (reason ``TOKEN_INVALID``).
    """
    values = [value for key, value in headers.items() if key.lower() == name]
    if len(values) > 1:
        raise Unauthenticated(
            f"There is more than one {name} header.", reason=Reason.TOKEN_INVALID, header=name
        )
    return values[0].strip() or None if values else None


def lowered(text: str) -> str:
    """``text`` with ASCII letters in lower case.

    Not ``str.lower()``: that maps other characters onto ASCII letters too (the Kelvin
    sign becomes ``k``), and two accounts would be one owner.
    """
    return text.translate(_LOWER)


def email_address(text: object) -> str | None:
    """An e-mail address in lower case, or None if ``text`` does not look like one."""
    if not isinstance(text, str) or len(text) > MAX_EMAIL_CHARACTERS or not _EMAIL.fullmatch(text):
        return None
    if not text.isprintable():
        return None
    return lowered(text)


def google_subject(sub: object) -> str:
    """Google's name of an account, the claim ``sub`` of its own tokens, as ``Person.subject``.

    Raises:
        Unauthenticated: ``sub`` names no account (reason ``TOKEN_INVALID``).
    """
    return f"google:{_account(sub)}"


def iap_subject(sub: object) -> str:
    """The claim ``sub`` of Identity-Aware Proxy's tokens as ``Person.subject``.

    Of Google's accounts it is Google's own name behind ``accounts.google.com:``
    (https://cloud.google.com/iap/docs/signed-headers-howto#retrieving_the_user_identity): through the
    proxy and with a token of Google's one comes as the same person.

    Raises:
        Unauthenticated: ``sub`` names no account (reason ``TOKEN_INVALID``).
    """
    account = _account(sub)
    name = account.removeprefix(_GOOGLE_ACCOUNTS)
    return f"iap:{account}" if name == account else google_subject(name)


def known_subject(text: str) -> str | None:
    """The normal form of a ``Person.subject`` that somebody typed; None if nobody can have it."""
    kind, _, name = text.partition(":")
    if kind == "dev":
        email = email_address(name)
        return None if email is None else f"dev:{email}"
    if kind not in ("google", "iap") or not _ACCOUNT.fullmatch(name):
        return None
    account = name.removeprefix(_GOOGLE_ACCOUNTS)
    if not account or account.startswith(_GOOGLE_ACCOUNTS):
        return None
    return f"iap:{name}" if kind == "iap" and account == name else f"google:{account}"


def _account(sub: object) -> str:
    if not isinstance(sub, str) or not _ACCOUNT.fullmatch(sub):
        raise Unauthenticated("The token names no account.", reason=Reason.TOKEN_INVALID)
    return sub


def email_domain(email: str) -> str:
    """What is behind the ``@``."""
    return email.rpartition("@")[2]


def account_domain(email: str, hosted_domain: object) -> str | None:
    """The domain that an account is known to belong to.

    The claim ``hd`` says it. The e-mail's domain alone does not: anybody can have a Google
    account under an address of a domain that Google does not host, and keeps it when the
    address is somebody else's. Google answers for the e-mail itself only when it issues
    the address, as for service accounts and Gmail
    (https://developers.google.com/identity/gsi/web/guides/verify-google-id-token).

    Args:
        email: Verified e-mail address of the account, lower case.
        hosted_domain: The claim ``hd``, None if there is none.

    Returns:
        The domain, lower case, or None.
    """
    if isinstance(hosted_domain, str) and hosted_domain:
        return lowered(hosted_domain)
    domain = email_domain(email)
    return domain if domain == "gmail.com" or domain.endswith(".gserviceaccount.com") else None


def require_domain(identity: Identity, allowed: tuple[str, ...], services: tuple[str, ...] = ()) -> Identity:
    """The identity, if its domain may call.

    Args:
        identity: A verified identity.
        allowed: ``IdentitySettings.allowed_domains``; empty allows everybody.
        services: Accounts that may call whatever their domain: the operator names each.

    Raises:
        PermissionDenied: The domain is not listed (reason ``DOMAIN_NOT_ALLOWED``).
    """
    if not allowed or identity.email in {lowered(service) for service in services}:
        return identity
    if identity.domain not in {lowered(domain) for domain in allowed}:
        raise PermissionDenied(
            "Accounts of this domain may not call."
            if identity.domain
            else "Accounts that belong to no Workspace domain may not call.",
            reason=Reason.DOMAIN_NOT_ALLOWED,
            domain=identity.domain,
        )
    return identity
