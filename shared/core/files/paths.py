"""Paths in a session's workspace, as requests give them."""

from __future__ import annotations

import dataclasses
import re
import urllib.parse

from shared.errors import InvalidRequest
from shared.reasons import Reason

UPLOAD_PREFIX = ".gamgui-upload-"
"""Names with this beginning are reserved for unfinished uploads. See files/*.sh."""

MAX_NAME_BYTES = 255
"""NAME_MAX of Linux (limits.h)."""

MAX_PATH_BYTES = 4095 - len("/workspace/")
"""PATH_MAX of Linux, without the NUL at its end and without the path of the workspace."""

_ENCODED = re.compile(rb"(?:[^%]|%[0-9A-Fa-f]{2})*", re.DOTALL)


@dataclasses.dataclass(frozen=True, slots=True)
class WorkspacePath:
    """A path below ``/workspace``.

    Attributes:
        parts: The names on the path, outermost first; none for the workspace itself.
        folder: Whether the path was written with a slash at its end.
    """

    parts: tuple[str, ...]
    folder: bool

    @classmethod
    def from_url(cls, raw: bytes) -> WorkspacePath:
        """Reads a path as it stands in a URL.

        The path is first split at its slashes, then each name is decoded once (RFC 3986, 2.4). So an encoded
        slash would be part of a name, and no file can have such a name.

        Args:
            raw: The path, percent-encoded and relative to the workspace.

        Raises:
            InvalidRequest: The path cannot be that of a file below the workspace (reason ``INVALID_PATH``).
        """
        *names, last = raw.split(b"/")
        folder = last == b""
        decoded = [_name(part) for part in (names if folder else [*names, last])]
        if sum(len(name.encode()) + 1 for name in decoded) > MAX_PATH_BYTES + 1:
            raise _invalid(f"is longer than {MAX_PATH_BYTES} bytes")
        return cls(tuple(decoded), folder or not decoded)

    def name_first(self) -> list[str]:
        """The last name, then the steps to its folder.

        Raises:
            InvalidRequest: The path is the workspace itself.
        """
        if not self.parts:
            raise _invalid("is the workspace itself")
        return [self.parts[-1], *self.parts[:-1]]

    def __str__(self) -> str:
        """The path as people write it."""
        return "/".join(self.parts)


def _name(raw: bytes) -> str:
    """Decodes one name.

    Raises:
        InvalidRequest: No file of a workspace may have this name.
    """
    if not _ENCODED.fullmatch(raw):
        raise _invalid("holds a % that begins no encoded byte")
    decoded = urllib.parse.unquote_to_bytes(raw)
    fault = fault_of_name(decoded)
    if fault:
        raise _invalid(fault)
    return decoded.decode()


def fault_of_name(name: bytes) -> str:
    """Why no file or folder of a workspace may have this name; empty when it may."""
    if name in (b"", b".", b".."):
        return "holds an empty name, . or .."
    if re.search(rb"[/\x00\n]", name):
        return "holds a slash, a NUL or a line break inside a name"
    if len(name) > MAX_NAME_BYTES:
        return f"holds a name of more than {MAX_NAME_BYTES} bytes"
    if name.startswith(UPLOAD_PREFIX.encode()):
        return f"holds a name that begins with {UPLOAD_PREFIX}, which unfinished uploads have"
    try:
        name.decode()
    except UnicodeDecodeError:
        return "is not UTF-8"
    return ""


def _invalid(fault: str) -> InvalidRequest:
    return InvalidRequest(f"the path {fault}", reason=Reason.INVALID_PATH, field="path")
