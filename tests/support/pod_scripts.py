"""The file scripts as processes on this machine, under every shell and set of tools that it has."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from shared.core.files.scripts import Script, script_command
from tests.support.needs import needs
from tests.support.patience import PATIENCE

SECONDS = PATIENCE
APPLETS = "cat chmod date dd head mkdir mv readlink rm rmdir sed sh sha256sum stat tail tar"
"""What the scripts need of an image."""


@dataclasses.dataclass(frozen=True)
class Tools:
    """A shell, and where the programs are that it starts."""

    shell: list[str]
    busybox: bool = False

    @property
    def name(self) -> str:
        return " ".join(self.shell)


SEPARATE = [Tools(shell) for shell in (["dash"], ["bash", "--posix"]) if shutil.which(shell[0]) is not None]
"""Those whose programs a test can take away or replace: busybox runs its own wherever they are."""
BUSYBOX = Tools(["busybox", "sh"], busybox=True)
SHELLS = [*SEPARATE, pytest.param(BUSYBOX, marks=needs("busybox"))]


class Pod:
    """A workspace, and beside it what is not to be reached."""

    def __init__(self, folder: Path, tools: Tools) -> None:
        self.tools = tools
        self.workspace = folder / "workspace"
        self.outside = folder / "outside"
        for made in (self.workspace, self.outside):
            made.mkdir()
        self.environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC0", "CDPATH": "/"}
        if tools.busybox:
            programs = folder / "bin"
            programs.mkdir()
            busybox = shutil.which("busybox")
            assert busybox is not None
            for applet in APPLETS.split():
                (programs / applet).symlink_to(busybox)
            self.environment["PATH"] = str(programs)

    def start(self, script: Script, *arguments: str) -> subprocess.Popen[bytes]:
        argv = script_command(script, *arguments, timeout_seconds=SECONDS).argv
        shell = shutil.which(self.tools.shell[0])
        assert shell is not None
        return subprocess.Popen(
            [shell, *self.tools.shell[1:], *argv[1:]],
            cwd=self.workspace,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, script: Script, *arguments: str, stdin: bytes = b"") -> tuple[int, bytes]:
        """Exit code and standard output."""
        process = self.start(script, *arguments)
        output, errors = process.communicate(stdin, timeout=SECONDS)
        assert not errors, errors
        return process.returncode, output

    def put(
        self,
        path: str,
        data: bytes,
        *,
        sealed: bytes | None = None,
        piece: tuple[str, ...] = (),
        length: int | str = "",
        told: str = "",
    ) -> bytes:
        """What put.sh says when it is sent a file, or a piece: (upload, first, total, digest).

        One whose hash is told is short, and not sealed.
        """
        *folder, name = path.split("/")
        if sealed is None:
            sealed = data if told else seal(data)
        described = (*(piece or ("", "", "", "")), str(length), told)
        _, output = self.run("put", "0123abcd", *described, name, *folder, stdin=sealed)
        return output

    def read(self, path: str, wish: str | None = None) -> tuple[int, list[bytes]]:
        """Exit code, and what read.sh says: facts, hash, bytes."""
        *folder, name = path.split("/")
        if wish is None:
            wish = f"0 {(self.workspace / path).stat().st_size}\n"
        code, output = self.run("read", name, *folder, stdin=wish.encode())
        return code, output.split(b"\n", 2)

    def fill(self, names: Iterable[bytes], data: bytes) -> None:
        """Makes files."""
        for name in names:
            Path(os.fsdecode(bytes(self.workspace) + b"/" + name)).write_bytes(data)

    @property
    def rests(self) -> list[str]:
        """Unfinished uploads, anywhere."""
        return sorted(found.name for found in self.workspace.rglob(".gamgui-upload-*"))


def names_in(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(found.name for found in folder.iterdir())


def seal(data: bytes) -> bytes:
    """Data as it is sent: with its hash at the end."""
    return data + hashlib.sha256(data).hexdigest().encode()
