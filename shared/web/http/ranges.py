"""Ranges and conditions of requests (RFC 9110, 13 and 14), and digests (RFC 9530), as pure functions."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re

from shared.errors import InvalidRequest, RangeNotSatisfiable
from shared.reasons import Reason

_DIGITS = r"([0-9]{1,18})"
_CONTENT_RANGE = re.compile(rf"bytes (?:{_DIGITS}-{_DIGITS}|\*)/{_DIGITS}")
_ONE_RANGE = re.compile(rf"bytes=[ \t]*(?:{_DIGITS}-{_DIGITS}?|-{_DIGITS})[ \t]*", re.IGNORECASE)
_ENTITY_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_MEMBER = re.compile(r"[ \t]*([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=]*):[ \t]*")


@dataclasses.dataclass(frozen=True, slots=True)
class ContentRange:
    """Which bytes of a whole the body is (RFC 9110, 14.4).

    Attributes:
        first: Where it begins; None for ``*``.
        length: How many bytes; None for ``*``.
        total: Size of the whole.
    """

    first: int | None
    length: int | None
    total: int


def content_range(header: str) -> ContentRange:
    """Reads a Content-Range.

    Raises:
        InvalidRequest: It is not ``bytes FIRST-LAST/TOTAL`` or ``bytes */TOTAL``, or such bytes cannot exist.
    """
    found = _CONTENT_RANGE.fullmatch(header)
    if found is None:
        raise _invalid("Content-Range", "is not bytes FIRST-LAST/TOTAL or bytes */TOTAL")
    first, last, total = found.groups()
    if first is None:
        return ContentRange(None, None, int(total))
    if not int(first) <= int(last) < int(total):
        raise _invalid("Content-Range", "names bytes that cannot be")
    return ContentRange(int(first), int(last) - int(first) + 1, int(total))


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """Where a Range begins in a file, and how long it is.

    Args:
        header: The Range header. It is ignored if it has several ranges or another unit or is
            malformed, as RFC 9110, 14.2 allows or demands.
        size: Size of the file in bytes.

    Returns:
        Offset of the first byte, and length; None: send the whole file.

    Raises:
        RangeNotSatisfiable: The file has none of these bytes.
    """
    found = _ONE_RANGE.fullmatch(header)
    if found is None:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        begin, end = max(size - int(suffix), 0), size - 1
    else:
        begin, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < begin:
            return None
    if begin >= size:
        raise RangeNotSatisfiable(f"the file has {size} bytes", content_range=f"bytes */{size}")
    return begin, end - begin + 1


def names_tag(header: str, etag: str) -> bool:
    """Whether an If-None-Match holds an entity tag, compared weakly (RFC 9110, 13.1.2)."""
    return header.strip() == "*" or etag in _ENTITY_TAG.findall(header)


def sha256_of(header: str, field: str) -> str:
    """The SHA-256 of a Content-Digest or Repr-Digest, in hexadecimal; empty if there is none.

    Args:
        header: A dictionary of byte sequences (RFC 8941, 3.2 and 3.3.5). Algorithms that we do not
            know are passed over; if an algorithm is repeated, the last one counts.
        field: The header's name, for messages.

    Raises:
        InvalidRequest: The header is malformed.
    """
    digest = ""
    for member in header.split(",") if header.strip() else []:
        found = _MEMBER.fullmatch(member)
        if found is None:
            raise _invalid(field, "is not a list of ALGORITHM=:BASE64:")
        if found[1] == "sha-256":
            try:
                raw = base64.b64decode(found[2], validate=True)
            except binascii.Error as error:
                raise _invalid(field, "has a sha-256 that is no base64") from error
            if len(raw) != 32:
                raise _invalid(field, "has a sha-256 that is not 32 bytes long")
            digest = raw.hex()
    return digest


def digest_header(sha256: str) -> str:
    """The value of a Content-Digest or Repr-Digest.

    Args:
        sha256: The digest in hexadecimal.
    """
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"


def _invalid(field: str, fault: str) -> InvalidRequest:
    return InvalidRequest(f"{field} {fault}", reason=Reason.INVALID_FIELD, field=field)
