"""Says what counts as a secret in a command: the tables that masking uses and that docs/api.md shows."""

from __future__ import annotations

import enum
from collections.abc import Mapping

NAMES: Mapping[str, str] = {
    "password": "GAM: `password`, `notifypassword`, `notfoundpassword`, `smtpmsa.password`",
    "passwd": "",
    "passphrase": "",
    "passcode": "",
    "secret": "GAM: `clientsecret`",
    "token": "GAM: `accesstoken`, `idtoken`, `customer_auth_token`, `transfertoken`",
    "api-key": "",
    "access-key": "",
    "secret-key": "",
    "private-key": "`private_key` of a service account's file",
    "encryption-key": "",
    "account-key": "",
    "credential": "",
    "credentials": "",
    "authorization": "the header",
    "recoveryemail": "GAM: what a password is reset with",
    "recoveryphone": "GAM: what a password is reset with",
    "hashfunction": "GAM: what a password is hashed with",
}
"""A word that contains one of these is a name: a secret follows it. Instead of a ``-`` there may be ``_`` or
nothing. ``_`` may stand anywhere, because GAM ignores it."""

PARTS: Mapping[str, str] = {
    "pass": "`DB_PASS`, `userpass`",
    "pwd": "as `--pwd`, `DB_PWD`; `pwd` alone is a command",
    "cred": "`creds`, `DB_CRED`",
}
"""As ``NAMES``, but they match without ``-`` or ``_`` inside only, because they are too short."""

OPTIONS: Mapping[str, str] = {
    "pin": "",
    "otp": "",
    "pwd": "",
    "cookie": "",
    "cookies": "",
    "jwt": "",
    "signature": "",
    "pw": "",
    "psk": "",
    "pat": "a personal access token",
    "access-code": "",
    "backup-code": "",
    "backup-codes": "bare, it is what `gam user ... show backupcodes` shows",
    "recovery-code": "",
    "recovery-codes": "",
    "verification-code": "",
    "verification-codes": "bare, it is what `gam user ... show verificationcodes` shows",
}
"""Names that are ordinary words elsewhere: a secret follows only ``--name``, ``name=`` and ``name:``."""

QUERY: Mapping[str, str] = {
    "key": "",
    "sig": "of Azure's shared access signatures",
    "code": "of OAuth",
    "auth": "",
    "sid": "",
    "assertion": "of OAuth",
}
"""Names that are ordinary words elsewhere: a secret follows only ``?name=`` and ``&name=``."""

HARMLESS: Mapping[str, str] = {
    "applicationspecificpasswords": "what is shown or deleted",
    "attestationcredential": "a field",
    "browsertoken": "what is created or revoked",
    "browsertokens": "what is shown",
    "changepassword": "`on` or `off` follows",
    "changepasswordatnextlogin": "`on` or `off` follows",
    "changepasswordurl": "an address follows",
    "chromebrowsertoken": "what is created or revoked",
    "chromebrowsertokens": "what is shown",
    "devicepasswordstatus": "a field",
    "encryptionkeypairid": "an identifier follows",
    "ignorenullpassword": "nothing follows",
    "inboundssocredential": "what is created or shown",
    "inboundssocredentials": "what is shown",
    "logpassword": "a file's name follows",
    "lograndompassword": "a file's name follows",
    "notifyrecoveryemail": "nothing follows",
    "oauthtoken": "what is shown",
    "passwordstate": "a field",
    "secrets": "what is listed",
    "set-credentials": "of kubectl: a name follows",
    "setchangepasswordoncreate": "`on` or `off` follows",
    "showsecret": "nothing follows",
    "tokenpermanentid": "a field",
    "tokens": "what is shown or deleted",
    "usertokencounts": "nothing follows",
}
"""Words, mostly of GAM, that contain a name; a secret follows them only behind ``=`` or ``:``."""

ORDINARY: tuple[str, ...] = (
    *("accredit", "bypass", "compass", "credence", "credible", "credit", "credo", "discredit", "encompass"),
    *("impass", "incredib", "overpass", "passage", "passat", "passed", "passenger", "passes", "passing"),
    *("passion", "passiv", "passkeys", "passport", "passthr", "passwordless", "sacred", "secretar"),
    *("secretly", "surpass", "tokeniz", "tokenis", "trespass", "underpass"),
)
"""Beginnings of English words that contain a name by chance and are no names."""

ENDINGS: tuple[str, ...] = (
    *("file", "files", "filename", "path", "stdin", "fd", "prompt", "url", "uri", "endpoint", "expiry"),
    *("expires", "ttl", "policy", "length", "lifetime", "duration", "helper"),
)
"""Endings of names that say where a secret is, or what it is like: none follows (``--password-file F``)."""

LISTING: Mapping[str, tuple[str, ...]] = {
    "programs": ("gam", "gam7", "gamadv-xtd3", "kubectl", "docker", "podman", "gcloud", "vault", "gh", "npm"),
    "verbs": (
        *("print", "show", "list", "ls", "get", "describe", "info", "delete", "del", "remove", "rm"),
        *("revoke", "inspect", "count", "fields", "orderby"),
    ),
    "things": (
        *("token", "secret", "credential", "credentials", "api-key", "api_key", "apikey", "access-key"),
        *("access_key", "accesskey", "encryption-key", "private-key", "secret-key"),
    ),
}
"""In commands of these programs, no secret follows one of these things if it follows one of these verbs:
``gam user bob show token clientid C``, ``kubectl get secret NAME``. A password is not among the things,
because a user may be called ``show``."""


class Value(enum.StrEnum):
    """Which part of an option's value is the secret."""

    WHOLE = "all of it"
    COLON = "behind the first `:`"
    COMMA = "behind the first `,`"
    EQUALS = "behind the first `=`"
    PERCENT = "behind the first `%`"
    ATTACHED = "in the option's own word only"
    SOURCE = "unless it begins with `env:`, `fd:`, `file:` or is `stdin`"


_SAME = {
    "mysql": ("mysqldump", "mysqladmin", "mysqlimport", "mysqlshow", "mysqlcheck", "mariadb", "mariadb-dump"),
    "mongo": ("mongosh", "mongodump", "mongorestore", "mongoexport", "mongoimport"),
    "7z": ("7za", "7zr", "7zz"),
    "rar": ("unrar",),
    "zip": ("unzip", "zipcloak"),
    "redis-cli": ("valkey-cli",),
    "http": ("https", "xh"),
    "ldapsearch": ("ldapmodify", "ldapadd", "ldapdelete", "ldapwhoami", "ldapcompare", "ldapmodrdn"),
    "smbclient": ("rpcclient", "smbget", "smbmap", "net", "winexe"),
    "docker login": ("podman login", "buildah login", "skopeo login", "nerdctl login", "helm login"),
    "mosquitto_pub": ("mosquitto_sub", "mosquitto_rr"),
    "snmpwalk": ("snmpget", "snmpset", "snmpbulkwalk"),
    "sqlcmd": ("bcp",),
    "useradd": ("usermod",),
}

_TOOLS: Mapping[str, Mapping[str, Value]] = {
    "curl": {
        "-u": Value.COLON,
        "--user": Value.COLON,
        "-U": Value.COLON,
        "--proxy-user": Value.COLON,
        "-E": Value.COLON,
        "--cert": Value.COLON,
        "-b": Value.WHOLE,
        "--cookie": Value.WHOLE,
        "--oauth2-bearer": Value.WHOLE,
    },
    "http": {"-a": Value.COLON, "--auth": Value.COLON},
    "ab": {"-A": Value.COLON, "-P": Value.COLON, "-C": Value.EQUALS},
    "sshpass": {"-p": Value.WHOLE},
    "mysql": {"-p": Value.ATTACHED},
    "mongo": {"-p": Value.WHOLE},
    "redis-cli": {"-a": Value.WHOLE},
    "cqlsh": {"-p": Value.WHOLE},
    "sqlcmd": {"-P": Value.WHOLE},
    "7z": {"-p": Value.ATTACHED},
    "rar": {"-p": Value.ATTACHED, "-hp": Value.ATTACHED},
    "zip": {"-P": Value.WHOLE},
    "ldapsearch": {"-w": Value.WHOLE},
    "ldappasswd": {"-w": Value.WHOLE, "-a": Value.WHOLE, "-s": Value.WHOLE},
    "openssl": {
        "-passin": Value.SOURCE,
        "-passout": Value.SOURCE,
        "-pass": Value.SOURCE,
        "-k": Value.WHOLE,
        "-K": Value.WHOLE,
        "-hmac": Value.WHOLE,
        "-macopt": Value.COLON,
    },
    "ssh-keygen": {"-N": Value.WHOLE, "-P": Value.WHOLE},
    "docker login": {"-p": Value.WHOLE},
    "az login": {"-p": Value.WHOLE},
    "smbclient": {"-U": Value.PERCENT, "--user": Value.PERCENT},
    "lftp": {"-u": Value.COMMA},
    "ncftpput": {"-p": Value.WHOLE},
    "kubectl": {"--from-literal": Value.EQUALS},
    "gh secret": {"-b": Value.WHOLE, "--body": Value.WHOLE},
    "doctl": {"-t": Value.WHOLE},
    "twine": {"-p": Value.WHOLE},
    "tsql": {"-P": Value.WHOLE},
    "beeline": {"-p": Value.WHOLE},
    "psexec": {"-p": Value.WHOLE},
    "hydra": {"-p": Value.WHOLE},
    "crackmapexec": {"-p": Value.WHOLE},
    "winrs": {"-p:": Value.ATTACHED},
    "schtasks": {"/rp": Value.WHOLE},
    "dotnet nuget": {"-k": Value.WHOLE},
    "security": {"-w": Value.WHOLE},
    "cadaver": {"-p": Value.WHOLE},
    "gem": {"--key": Value.WHOLE},
    "useradd": {"-p": Value.WHOLE},
    "rdesktop": {"-p": Value.WHOLE},
    "xfreerdp": {"/p:": Value.ATTACHED},
    "evil-winrm": {"-p": Value.WHOLE},
    "ipmitool": {"-P": Value.WHOLE},
    "mosquitto_pub": {"-P": Value.WHOLE},
    "snmpwalk": {"-c": Value.WHOLE, "-A": Value.WHOLE, "-X": Value.WHOLE},
    "pdftotext": {"-upw": Value.WHOLE, "-opw": Value.WHOLE},
}

TOOLS: Mapping[str, Mapping[str, Value]] = {
    name: options for tool, options in _TOOLS.items() for name in (tool, *_SAME.get(tool, ()))
}
"""Options of programs whose names do not tell that a secret follows. A program of two words is the first
word with the second behind it."""

LAST: Mapping[str, str] = {
    "htpasswd": "-b",
    "mosquitto_passwd": "-b",
    "mkpasswd": "",
    "openssl passwd": "",
    "net use": "",
    "net user": "",
    "samba-tool user": "",
    "bw login": "",
    "bw unlock": "",
    "cargo login": "",
    "isql": "",
    "pulumi config": "",
    "wpa_passphrase": "",
    "vault login": "",
    "vault unseal": "",
    "rabbitmqctl add_user": "",
    "rabbitmqctl change_password": "",
    "mc alias": "",
}
"""Programs whose last argument that is no option is a secret, and the option that makes it a secret."""

READERS: Mapping[str, str] = {
    "chpasswd": "",
    "passwd": "",
    "vncpasswd": "",
    "secret-tool": "",
    "smbpasswd": "-s",
    "htpasswd": "-i",
    "sudo": "-S",
    "cryptsetup": "",
    "kinit": "",
    "gpg": "--passphrase-fd",
    "openssl": "stdin",
    "docker": "--password-stdin",
    "podman": "--password-stdin",
    "helm": "--password-stdin",
    "gh": "--with-token",
    "gh secret": "",
    "docker secret": "",
    "gcloud secrets": "",
    "vault login": "-",
}
"""Programs that read a secret from their input, and the word that makes them do so."""

SHAPES: Mapping[str, str] = {
    "user and password of a URL": r"(?<=://)[^/?#\s\"']+(?=@)",
    "JSON web token": r"\beyJ(?:\w|-(?!eyJ))++\.[\w-]++\.[\w-]*+",
    "Google access token, `ya29.`": r"\bya29\.[\w.-]+",
    "Google refresh token, `1//`": r"\b1//[\w-]{20,}",
    "Google authorization code, `4/`": r"\b4/[\w-]{20,}",
    "Google client secret, `GOCSPX-`": r"\bGOCSPX-[\w-]+",
    "Google API key, `AIza`": r"\bAIza[\w-]{30,}",
    "GitHub token, `ghp_` and the like": r"\b(?:gh[pousr]|github_pat)_\w{16,}",
    "GitLab token, `glpat-`": r"\bglpat-[\w-]{16,}",
    "Slack token, `xoxb-` and the like": r"\bxox[a-z]-[\w-]{10,}",
    "Slack web hook": r"(?<=hooks\.slack\.com/services/)[\w/]+",
    "user and password of an Oracle URL": r"(?<=jdbc:oracle:thin:)[^/@\s\"']+/[^@\s\"']+(?=@)",
    "private key in PEM": (
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----"
        r"(?:[A-Za-z0-9+/=\s]|\\[nr]|(?:Proc-Type|DEK-Info):[^\n\\]*+)*+"
        r"(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?"
    ),
}
"""Secrets that are recognized by their own shape in any place: regular expressions."""
