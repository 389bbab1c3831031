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
"""The least number of arguments before the last one; with fewer arguments there is no secret."""

ASSIGNED: tuple[str, ...] = (
    *("fly secrets", "flyctl secrets", "heroku config:set", "vault kv", "vault write", "op item"),
)
"""Programs whose arguments ``name=value`` have a secret behind the ``=``."""

CONNECTED: tuple[str, ...] = ("sqlplus", "rman", "exp", "imp", "expdp", "impdp", "sqlldr")
"""Programs that take an argument ``user/secret@database``."""

REMOTE: tuple[str, ...] = ("ssh", "scp", "sftp", "ftp", "sshpass")
"""Programs to which people give an argument ``user:secret@host``."""

FOLLOWED: tuple[str, ...] = ("bearer", "convertto-securestring")
"""Words, of headers and of PowerShell, that a secret follows in any place."""

GENERATED: Mapping[str, tuple[str, ...]] = {
    "programs": ("gam", "gam7", "gamadv-xtd3"),
    "names": ("password", "notfoundpassword"),
    "values": ("random", "uniquerandom", "blocklogin", "prompt", "uniqueprompt"),
}
"""In commands of these programs, these values of these names are no secrets: GAM makes or asks for one."""


def is_basic(word: str) -> bool:
    """Whether the word is what ``Basic`` announces: ``user:password`` in base64 (RFC 7617)."""
    try:
        return b":" in base64.b64decode(word + "=" * (-len(word) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
