"""What counts as a secret in a command: the tables that masking goes by and that docs/api.md shows."""

from __future__ import annotations

from collections.abc import Mapping

NAMES: Mapping[str, str] = {
    "password": "GAM: `password`, `notifypassword`, `notfoundpassword`, `smtpmsa.password`",
    "passwd": "",
    "passphrase": "",
    "passcode": "",
    "secret": "GAM: `clientsecret`",
    "token": "GAM: `accesstoken`, `idtoken`, `customer_auth_token`, `transfertoken`",
    "api-key": "",
    "private-key": "`private_key` of a service account's file",
    "credential": "",
    "credentials": "",
    "authorization": "the header, with its scheme left to be seen",
    "recoveryemail": "GAM: what a password is reset with",
    "recoveryphone": "GAM: what a password is reset with",
    "hashfunction": "GAM: what a password is hashed with",
}
"""Names, whatever stands before them, and who uses them: what follows is a secret. A ``-`` may be
missing or be ``_``, and as GAM ignores it, ``_`` may stand anywhere."""

OPTIONS: Mapping[str, str] = {
    "pin": "",
    "otp": "",
    "backup-code": "",
    "backup-codes": "bare, it is what `gam user ... show backupcodes` shows",
    "recovery-code": "",
    "recovery-codes": "",
    "verification-code": "",
    "verification-codes": "bare, it is what `gam user ... show verificationcodes` shows",
}
"""Names that are ordinary words elsewhere: a secret follows ``--name``, ``name=`` and ``name:`` only."""

HARMLESS: Mapping[str, str] = {
    "attestationcredential": "a field",
    "browsertoken": "what is created or revoked",
    "changepassword": "`on` or `off` follows",
    "ignorenullpassword": "nothing follows",
    "inboundssocredential": "what is created or shown",
    "inboundssocredentials": "what is shown",
    "logpassword": "a file's name follows",
    "lograndompassword": "a file's name follows",
    "showsecret": "nothing follows",
}
"""Words of GAM's that end like a name and that no secret follows."""

SHAPES: Mapping[str, str] = {
    "user and password of a URL": r"(?<=://)[^/?#\s\"']+(?=@)",
    "JSON web token": r"\beyJ[\w-]+\.[\w-]+\.[\w-]*",
    "Google access token, `ya29.`": r"\bya29\.[\w.-]+",
    "Google refresh token, `1//`": r"\b1//[\w-]{20,}",
    "Google authorization code, `4/`": r"\b4/[\w-]{20,}",
    "Google client secret, `GOCSPX-`": r"\bGOCSPX-[\w-]+",
    "Google API key, `AIza`": r"\bAIza[\w-]{30,}",
    "private key in PEM": (
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?s:.)*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)"
    ),
}
"""Secrets that are known by their own shape, wherever they stand: regular expressions."""
