"""Documents name only files that there are: a module that moves takes its name in them along."""

from __future__ import annotations

import os
import re

from tests.support.gateway_process import ROOT

_FILE = re.compile(r"`([\w/.-]+\.(?:py|sh|tf))`")
_NOT_OURS = {".git", ".local", ".venv", "build"}


def files() -> set[str]:
    """The tree's files, each from ``/`` on."""
    found: set[str] = set()
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in _NOT_OURS]
        found |= {f"{folder.removeprefix(str(ROOT))}/{name}" for name in names}
    return found


def test_every_file_that_a_document_names_exists() -> None:
    there = files()
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    named = {(path.name, name) for path in documents for name in _FILE.findall(path.read_text())}
    assert len(named) > 20  # so that an empty set below says something
    assert {
        (path, name) for path, name in named if not any(file.endswith(f"/{name}") for file in there)
    } == set()
