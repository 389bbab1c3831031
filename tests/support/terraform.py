"""A Terraform root as plain data, read by python-hcl2. Expressions stay text: ``${...}``."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2

from tests.support.laptop import ROOT

PLATFORM = ROOT / "infra" / "terraform" / "platform"


@functools.cache
def files(root: Path) -> dict[str, dict[str, Any]]:
    """What each file of a root holds, by the file's name."""
    return {path.name: _plain(hcl2.loads(path.read_text())) for path in sorted(root.glob("*.tf"))}


def blocks(root: Path, kind: str) -> dict[str, dict[str, Any]]:
    """Blocks with one label, such as ``variable`` and ``output``, by that label."""
    return {
        name: body
        for content in files(root).values()
        for block in content.get(kind, [])
        for name, body in block.items()
    }


def resources(root: Path) -> dict[str, dict[str, Any]]:
    """Resources by address, ``type.name``."""
    return {
        f"{kind}.{name}": body
        for content in files(root).values()
        for block in content.get("resource", [])
        for kind, named in block.items()
        for name, body in named.items()
    }


def local_values(root: Path) -> dict[str, Any]:
    """All locals."""
    return {
        name: value
        for content in files(root).values()
        for block in content.get("locals", [])
        for name, value in block.items()
        if not name.startswith("__")
    }


def texts(value: Any) -> Iterator[str]:
    """Every string in a value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            _plain(key): _plain(item)
            for key, item in value.items()
            if key not in ("__comments__", "__is_block__")
        }
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str) and re.fullmatch(r'".*"', value, re.DOTALL):
        return value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return value
