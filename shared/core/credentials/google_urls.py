"""Addresses in a credential file: GAM and google-auth send secrets to them, and believe what they answer.

google-auth posts the refresh token and the client's secret to ``token_uri``, and a service account's
signed assertion too (google/oauth2/credentials.py, service_account.py); from ``universe_domain`` it makes
the names of hosts; legacy files have ``revoke_uri`` and ``token_info_uri``. Whichever a release of theirs
reads: every field whose name says that it is an address must be one of Google's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_ADDRESS = re.compile(r"(.*[_-])?(ur[il]s?|endpoint)|universe_domain", re.DOTALL)
_NOT_READ = frozenset({"redirect_uris"})
"""Where the browser comes back to: of Google's concern, and GAM has its own."""

_GOOGLES = re.compile(
    r"https://(?:accounts\.google\.com(?=/|\Z)"
    r"|(?:oauth2|openidconnect|sts|iamcredentials)(?:\.mtls)?\.googleapis\.com(?=/|\Z)"
    r"|www\.googleapis\.com/(?:oauth2|robot)(?=/))"
    r"(?:[A-Za-z0-9._~+=@-]|%40|/(?!\.))*+"
)
"""Where Google answers for accounts and tokens. Its other services, and other paths of ``www``, serve or keep
what anybody has sent there; ``..`` and percent-encoding could lead to those, and a query elsewhere."""

_UNIVERSE = "googleapis.com"


def foreign_address(file: Mapping[str, Any]) -> str | None:
    """The first field whose address is not one of Google's, over https.

    Args:
        file: The JSON object, however deep.

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
