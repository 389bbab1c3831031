"""Paths in a session's workspace, as requests name them."""

from __future__ import annotations

import dataclasses
import re
import urllib.parse

from shared.errors import InvalidRequest
from shared.reasons import Reason

UPLOAD_PREFIX = ".gamgui-upload-"
"""Names that begin so are ours: uploads that are not whole yet. See files/*.sh."""

MAX_NAME_BYTES = 255
"""NAME_MAX of Linux (limits.h)."""

MAX_PATH_BYTES = 4095 - len("/workspace/")
"""PATH_MAX of Linux, which counts the NUL at the end, less the workspace."""

_ENCODED = re.compile(rb"(?:[^%]|%[0-9A-Fa-f]{2})*", re.DOTALL)


@dataclasses.dataclass(frozen=True, slots=True)
class WorkspacePath:
    """A path below ``/workspace``.

    Attributes:
        parts: Its names, outermost first; none for the workspace itself.
        folder: It was written with a slash at its end.
    """

    parts: tuple[str, ...]
    folder: bool

    @classmethod
    def from_url(cls, raw: bytes) -> WorkspacePath:
        """Reads a path as it stands in a URL.

        It is cut at its slashes first and each name decoded once after that (RFC 3986, 2.4): an
        encoded slash would be part of a name, which no file can have.

        Args:
            raw: Percent-encoded, relative to the workspace.

        Raises:
            InvalidRequest: It is no path of a file below the workspace (reason ``INVALID_PATH``).
        """
        *names, last = raw.split(b"/")
        folder = last == b""
        decoded = [_name(part) for part in (names if folder else [*names, last])]
        if sum(len(name.encode()) + 1 for name in decoded) > MAX_PATH_BYTES + 1:
            raise _invalid(f"is longer than {MAX_PATH_BYTES} bytes")
        return cls(tuple(decoded), folder or not decoded)

    def name_first(self) -> list[str]:
        """The last name, then the steps that lead to its folder.

        Raises:
            InvalidRequest: It is the workspace itself.
        """
        if not self.parts:
            raise _invalid("is the workspace itself")
        return [self.parts[-1], *self.parts[:-1]]

    def __str__(self) -> str:
        """As people write it."""
        return "/".join(self.parts)


def _name(raw: bytes) -> str:
    """One name, decoded.

    Raises:
        InvalidRequest: No file of ours has it.
    """
    if not _ENCODED.fullmatch(raw):
        raise _invalid("holds a % that begins no encoded byte")
    decoded = urllib.parse.unquote_to_bytes(raw)
    fault = fault_of_name(decoded)
    if fault:
        raise _invalid(fault)
    return decoded.decode()


def fault_of_name(name: bytes) -> str:
    """Why no file or folder of ours has this name; empty when one may have it."""
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
