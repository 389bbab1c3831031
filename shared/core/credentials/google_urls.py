"""Addresses in a credential file: GAM and google-auth send secrets to them and trust their answers.

google-auth posts the refresh token and the client's secret to ``token_uri``, and a service account's
signed assertion too (google/oauth2/credentials.py, service_account.py). It derives host names from
``universe_domain``. Legacy files have ``revoke_uri`` and ``token_info_uri``. Releases of GAM and google-auth
differ in the fields that they read. So every field whose name says that it is an address must hold one of
Google's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_ADDRESS = re.compile(r"(.*[_-])?(ur[il]s?|endpoint)|universe_domain", re.DOTALL)
_NOT_READ = frozenset({"redirect_uris"})
"""Addresses to which the browser returns after consent: Google checks them, and GAM uses its own."""

_GOOGLES = re.compile(
    r"https://(?:accounts\.google\.com(?=/|\Z)"
    r"|(?:oauth2|openidconnect|sts|iamcredentials)(?:\.mtls)?\.googleapis\.com(?=/|\Z)"
    r"|www\.googleapis\.com/(?:oauth2|robot)(?=/))"
    r"(?:[A-Za-z0-9._~+=@-]|%40|/(?!\.))*+"
)
"""The addresses of Google's account and token services.

Google's other services, and other paths of ``www``, serve or keep content that anybody may have sent there.
So ``..`` and percent-encoding (except ``%40``) are refused, as they could lead to those, and so are queries,
which could lead elsewhere.
"""

_UNIVERSE = "googleapis.com"


def foreign_address(file: Mapping[str, Any]) -> str | None:
    """Finds a field that holds another address than an https address of Google's.

    Args:
        file: The JSON object; objects and arrays in it are searched too, at any depth.

    Returns:
        The field's name in lower case, or None.
    """
    left: list[Any] = [file]
    while left:
        value = left.pop()
        if isinstance(value, list):
            left.extend(value)
        if not isinstance(value, dict):
            continue
        for key, inner in value.items():
            name = str(key).strip().lower()
            if name not in _NOT_READ and _ADDRESS.fullmatch(name) and not _is_googles(name, inner):
                return name
            left.append(inner)
    return None


def _is_googles(name: str, value: object) -> bool:
    if not isinstance(value, str):
        return False
    if name == "universe_domain":
        return value == _UNIVERSE
    return _GOOGLES.fullmatch(value) is not None
