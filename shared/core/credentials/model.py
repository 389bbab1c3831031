"""GAM's credential files: which files there are, how they are checked, which fields may be shown.

The expected fields are those that GAM 7 reads and writes (gam/__init__.py: getOAuthClientIDAndSecret,
getOauth2TxtCredentials, writeClientCredentials, _getSvcAcctData).
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from shared.core.credentials.google_urls import foreign_address
from shared.errors import InvalidRequest, NotFound
from shared.reasons import Reason

MAX_BYTES = 64 * 1024
"""Maximum size of a credential file."""

_FIELD = re.compile(r"[a-z0-9_]{1,64}")
_IDENTIFIER = re.compile(r"[\x21-\x7e]{1,256}")


@dataclasses.dataclass(frozen=True, slots=True)
class CredentialFile:
    """One credential file. Its content never appears in a ``repr``.

    Attributes:
        name: One of ``NAMES``.
        data: The file's bytes, as they were sent.
        updated_at: When the file was last put; None when that is not known.
    """

    name: str
    data: bytes = dataclasses.field(repr=False)
    updated_at: datetime | None

    def identifiers(self) -> Mapping[str, str]:
        """The fields that are no secrets: client_id, project_id, client_email, as far as they are there."""
        try:
            return _FILES[self.name](_json(self.name, self.data))
        except InvalidRequest:
            return {}  # not written by this service


@dataclasses.dataclass(frozen=True, slots=True)
class Credentials:
    """All of an owner's files.

    Attributes:
        files: The files, by name.
        subject: ``Person.subject`` of the owner; empty when an earlier release stored the files.
        version: The store's opaque version; empty when nothing is stored. Every change is
            a compare-and-set on it.
        secret: Name of the Secret that holds the files; empty when nothing is stored, or not in a cluster.
    """

    files: Mapping[str, CredentialFile]
    version: str = ""
    subject: str = ""
    secret: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the files, sorted."""
        return tuple(sorted(self.files))

    def only(self, choice: Collection[str] | None) -> Credentials:
        """The credentials with only the files whose names are in ``choice``; None: with all files."""
        if choice is None:
            return self
        files = {name: file for name, file in self.files.items() if name in choice}
        return dataclasses.replace(self, files=files)


def require_name(name: str) -> str:
    """Returns the name if GAM has a credential file of this name.

    Raises:
        NotFound: GAM has no such file (reason ``CREDENTIALS_FILE_UNKNOWN``).
    """
    if name not in _FILES:
        raise NotFound(f"there are {', '.join(NAMES)}", reason=Reason.CREDENTIALS_FILE_UNKNOWN)
    return name


def checked_file(name: str, data: bytes, now: datetime) -> CredentialFile:
    """Returns a file after a check that it has the fields that GAM expects.

    Args:
        name: One of ``NAMES``.
        data: The file's bytes.
        now: When the file was sent.

    Raises:
        InvalidRequest: The file is wrong (reason ``CREDENTIALS_INVALID``). The error names the wrong
            field, never its value. It has no cause, because other libraries' messages quote values.
    """
    content = _json(name, data)
    _FILES[name](content)
    foreign = foreign_address(content)
    if foreign is not None:
        field = foreign if _FIELD.fullmatch(foreign) else "an address"
        raise _invalid(field, "is not an https address of Google's: GAM would send secrets there")
    return CredentialFile(name, data, now)


_Fields: TypeAlias = Mapping[str, Any]


def _json(name: str, data: bytes) -> _Fields:
    try:
        # Decoded first: from bytes, json also accepts UTF-16 and a byte order mark, which GAM does not read.
        value = json.loads(data.decode(), parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidRequest(f"{name} is not a JSON object", reason=Reason.CREDENTIALS_INVALID)
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _client_secrets(file: _Fields) -> Mapping[str, str]:
    """Checks a client file. GAM reads only its object ``installed``, which Google makes for a desktop app."""
    installed = file.get("installed")
    if not isinstance(installed, dict):
        raise _invalid("installed", "is not an object: GAM needs the client of a desktop app")
    _text(installed, "client_secret", "installed.")
    return _shown(installed, "installed.", ("client_id",), ("project_id",))


def _service_account(file: _Fields) -> Mapping[str, str]:
    if file.get("type") != "service_account":
        raise _invalid("type", 'is not "service_account"')
    # Other key types have no private key in the file: a YubiKey or Google (signjwt) keeps it.
    if file.get("key_type", "default") == "default" and "PRIVATE KEY" not in _text(file, "private_key"):
        raise _invalid("private_key", "is not a PEM private key")
    return _shown(file, "", ("client_id", "client_email", "project_id"))


def _oauth2(file: _Fields) -> Mapping[str, str]:
    for field in ("client_secret", "refresh_token"):
        _text(file, field)
    return _shown(file, "", ("client_id",))


def _shown(
    file: _Fields, place: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Mapping[str, str]:
    """The fields that may be shown. Each value must be one word of at most 256 ASCII characters."""
    shown = {field: _text(file, field, place) for field in required}
    shown |= {field: _text(file, field, place) for field in optional if field in file}
    for field, value in shown.items():
        if not _IDENTIFIER.fullmatch(value):
            raise _invalid(place + field, "is not a word of at most 256 ASCII characters")
    return shown


def _text(file: _Fields, field: str, place: str = "") -> str:
    value = file.get(field)
    if not isinstance(value, str) or not value:
        raise _invalid(place + field, "is missing, or is no text")
    return value


def _invalid(field: str, fault: str) -> InvalidRequest:
    return InvalidRequest(f"{field} {fault}", reason=Reason.CREDENTIALS_INVALID, field=field)


_FILES: Mapping[str, Callable[[_Fields], Mapping[str, str]]] = {
    "client_secrets.json": _client_secrets,
    "oauth2.txt": _oauth2,
    "oauth2service.json": _service_account,
}

NAMES = tuple(_FILES)
"""Names of the files from which GAM reads its credentials, sorted."""
