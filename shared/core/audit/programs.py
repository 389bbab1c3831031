"""Programs whose arguments hold secrets by where they stand, and words that a secret follows anywhere."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

LAST_BEHIND: Mapping[str, int] = {
    "net use": 1,
    "net user": 1,
    "samba-tool user": 2,
    "bw login": 1,
    "isql": 2,
    "pulumi config": 2,
}
"""How many arguments stand before that one at least; without them there is no secret."""

ASSIGNED: tuple[str, ...] = (
    *("fly secrets", "flyctl secrets", "heroku config:set", "vault kv", "vault write", "op item"),
)
"""Programs of which each argument ``name=value`` has a secret behind the ``=``."""

CONNECTED: tuple[str, ...] = ("sqlplus", "rman", "exp", "imp", "expdp", "impdp", "sqlldr")
"""Programs that take ``user/secret@database``."""

REMOTE: tuple[str, ...] = ("ssh", "scp", "sftp", "ftp", "sshpass")
"""Programs that people give ``user:secret@host``."""

FOLLOWED: tuple[str, ...] = ("bearer", "convertto-securestring")
"""Words, of headers and of PowerShell, that a secret follows wherever they stand."""

GENERATED: Mapping[str, tuple[str, ...]] = {
    "programs": ("gam", "gam7", "gamadv-xtd3"),
    "names": ("password", "notfoundpassword"),
    "values": ("random", "uniquerandom", "blocklogin", "prompt", "uniqueprompt"),
}
"""In a command of these programs these values of these names are no secret: GAM makes one, or asks for it."""


def is_basic(word: str) -> bool:
    """Whether it is what ``Basic`` announces: ``user:password`` in base64 (RFC 7617)."""
    try:
        return b":" in base64.b64decode(word + "=" * (-len(word) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
