"""A disk that is full, in a user and mount namespace of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shared.core.files.scripts import script_command
from tests.support.needs import needs
from tests.support.patience import PATIENCE
from tests.support.pod_scripts import SHELLS, Tools, seal

_MOUNT = 'mount -t tmpfs -o size=1m tmpfs "$1" && cd "$1" && printf old >file && shift && "$@"'
_SEQUENCE = """
import ast, os, subprocess, sys
for argv, data in ast.literal_eval(sys.stdin.read()):
    run = subprocess.run([*sys.argv[1:], *argv[1:]], input=data, stdout=subprocess.PIPE)
    sys.stdout.write(run.stdout.decode())
print(open("file").read(), sorted(os.listdir(".")))
"""


def in_small_workspace(folder: Path, tools: Tools, *pieces: tuple[list[str], bytes]) -> list[bytes]:
    """What put.sh says to each piece in a workspace of 1 MiB; then the old file, and all names."""
    commands = [
        (script_command("put", *arguments, timeout_seconds=1).argv, data) for arguments, data in pieces
    ]
    program = [sys.executable, "-c", _SEQUENCE, *tools.shell]
    run = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _MOUNT, "sh", str(folder), *program],
        input=repr(commands).encode(),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


pytestmark = needs("namespaces")


@pytest.mark.parametrize("tools", SHELLS, ids=lambda tools: tools.name)
def test_a_full_disk_has_its_own_word_and_the_old_file_stays(tmp_path: Path, tools: Tools) -> None:
    data = b"x" * 2_000_000
    for length in ("", str(len(data))):
        plain = (["ab", *[""] * 4, length, "", "file"], seal(data))
        assert in_small_workspace(tmp_path, tools, plain) == [b"!full", b"old ['file']"]


@pytest.mark.parametrize("tools", SHELLS, ids=lambda tools: tools.name)
def test_a_piece_that_finds_no_room_leaves_the_beginning_as_it_was(tmp_path: Path, tools: Tools) -> None:
    first, second, rest = b"a" * 400_000, b"b" * 400_000, b"c" * 10
    total = str(len(first) + len(rest))

    def piece(begin: int | str, data: bytes) -> tuple[list[str], bytes]:
        return ["ab", "upload", str(begin), total, "", "", "", "file"], seal(data)

    said = in_small_workspace(
        tmp_path, tools, piece(0, first), piece(400_000, second), piece("*", b""), piece(400_000, rest)
    )
    assert said[:3] == [b"have 400000", b"!full", b"have 400000"]
    assert said[3].startswith(b"stored 400010 ")
