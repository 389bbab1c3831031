"""GAM's credential files: which there are, what a right one looks like, what of it may be shown.

Shapes: what GAM 7 reads and writes (gam/__init__.py: getOAuthClientIDAndSecret,
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
"""Longest credential file."""

_FIELD = re.compile(r"[a-z0-9_]{1,64}")
_IDENTIFIER = re.compile(r"[\x21-\x7e]{1,256}")


@dataclasses.dataclass(frozen=True, slots=True)
class CredentialFile:
    """One file. What is in it never appears in a ``repr``.

    Attributes:
        name: One of ``NAMES``.
        data: The file's bytes, as they were sent.
        updated_at: When it was last put; None when that is not known.
    """

    name: str
    data: bytes = dataclasses.field(repr=False)
    updated_at: datetime | None

    def identifiers(self) -> Mapping[str, str]:
        """What of its content is no secret: client_id, project_id, client_email, as far as they are there."""
        try:
            return _FILES[self.name](_json(self.name, self.data))
        except InvalidRequest:
            return {}  # somebody else wrote it


@dataclasses.dataclass(frozen=True, slots=True)
class Credentials:
    """All of an owner's files.

    Attributes:
        files: By name.
        subject: ``Person.subject`` of whose they are; empty when an earlier release stored them.
        version: The store's opaque version; empty when nothing is stored. Every change is
            a compare-and-set on it.
    """

    files: Mapping[str, CredentialFile]
    version: str = ""
    subject: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the files, sorted."""
        return tuple(sorted(self.files))

    def only(self, choice: Collection[str] | None) -> Credentials:
        """Those files of the owner's that a session may have; None: all."""
        if choice is None:
            return self
        files = {name: file for name, file in self.files.items() if name in choice}
        return dataclasses.replace(self, files=files)


def require_name(name: str) -> str:
    """The name, if it is one of GAM's credential files.

    Raises:
        NotFound: It is not.
    """
    if name not in _FILES:
        raise NotFound(f"there are {', '.join(NAMES)}", reason=Reason.CREDENTIALS_FILE_UNKNOWN)
    return name


def checked_file(name: str, data: bytes, now: datetime) -> CredentialFile:
    """A file that has the shape GAM expects.

    Args:
        name: One of ``NAMES``.
        data: Its bytes.
        now: When it was sent.

    Raises:
        InvalidRequest: Reason ``CREDENTIALS_INVALID``; says in which field of ours the fault
            is and never what stands there. It has no cause: others' messages quote.
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
        # As text: of bytes, json takes UTF-16 and a byte order mark too, which GAM does not read.
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
    """GAM reads ``installed`` only: what Google calls a desktop app."""
    installed = file.get("installed")
    if not isinstance(installed, dict):
        raise _invalid("installed", "is not an object: GAM needs the client of a desktop app")
    _text(installed, "client_secret", "installed.")
    return _shown(installed, "installed.", ("client_id",), ("project_id",))


def _service_account(file: _Fields) -> Mapping[str, str]:
    if file.get("type") != "service_account":
        raise _invalid("type", 'is not "service_account"')
    # A key in a YubiKey or kept by Google (signjwt) is not in the file.
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
    """The fields that may be shown, each one word of at most 256 characters."""
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
"""The files that GAM reads its credentials from, sorted."""
