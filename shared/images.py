"""Which images a session may have: the operator's list, held to the grammar of image references.

Grammar: https://pkg.go.dev/github.com/distribution/reference, less IPv6 addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"[a-zA-Z0-9]+(?:-+[a-zA-Z0-9]+)*"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*(?::[0-9]+)?"
_NAME = rf"(?:{_DOMAIN}/)?{_PART}(?:/{_PART})*"
_TAG = r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}"
_ALGORITHM = r"[a-zA-Z][a-zA-Z0-9]*(?:[-_+.][a-zA-Z][a-zA-Z0-9]*)*"
_REFERENCE = re.compile(rf"{_NAME}(?::{_TAG})?(?:@{_ALGORITHM}:[0-9a-fA-F]{{32,}})?")
_MAX_LENGTH = 512
_SAMPLES = ("a", "1", "sha256:" + "0" * 64, "0" * 64)
"""What may stand where the star does: a path, a port's or tag's text, a digest, a digest's end."""


def is_reference(text: str) -> bool:
    """Whether the text is an image reference, such as ``registry.example.com:5000/team/gam:7``."""
    return len(text) <= _MAX_LENGTH and _REFERENCE.fullmatch(text) is not None


def entry_fault(entry: str) -> str | None:
    """What is wrong with an entry of the list.

    Args:
        entry: An image reference, or the beginning of one up to ``/``, ``:`` or ``@``, and ``*``.

    Returns:
        A few words, or None when it is right.
    """
    if "*" not in entry:
        return None if is_reference(entry) else "is not an image reference"
    beginning, _, rest = entry.partition("*")
    if rest or not beginning.endswith(("/", ":", "@")):
        return "has a * that is not at its end, behind /, : or @"
    if not any(is_reference(beginning + sample) for sample in _SAMPLES):
        return "is not the beginning of an image reference"
    return None


def is_listed(image: str, entries: Iterable[str]) -> bool:
    """Whether an entry names the image, or has it among those that its ``*`` stands for.

    Args:
        image: What a caller asks for. What is no image reference is never listed.
        entries: Without faults. ``x/*``: everything below ``x``; ``x:*``: every tag of ``x``, with or
            without a digest; ``x@*``: every digest of ``x``. An absent tag is none of ``x:*``.
    """
    return is_reference(image) and any(_matches(image, entry) for entry in entries)


def _matches(image: str, entry: str) -> bool:
    if not entry.endswith("*"):
        return image == entry
    beginning = entry[:-1]
    # Behind x: there is either a tag or, up to a slash, a port of the registry x.
    rest = image.removeprefix(beginning)
    return rest != image and (beginning.endswith("/") or "/" not in rest)
