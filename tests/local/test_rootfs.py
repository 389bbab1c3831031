"""The session image as a folder: whoever has no container engine runs its programs in it as a root."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from local.environment import InstallError
from local.images import prepare_image
from local.rootfs import build
from tests.support.needs import needs
from tests.support.patience import PATIENCE

PROGRAMS = (
    "sh cat chmod date dd env head kill mkdir mv ps readlink rm sed setsid sha256sum stat tail tar timeout"
)


@needs("busybox", "namespaces")
def test_gam_and_what_the_scripts_need_run_in_it(tmp_path: Path) -> None:
    build(tmp_path / "root", prepare_image())

    def within(*command: str) -> str:
        inside = ["unshare", "--user", "--map-root-user", "--root", str(tmp_path / "root"), *command]
        ended = subprocess.run(
            inside,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env={"PATH": "/usr/local/bin:/bin"},
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    assert "GAM 7." in within("/usr/bin/env", "GAMCFGDIR=/tmp", "HOME=/tmp", "gam", "version")
    assert within("/usr/local/bin/python3", "-c", "import ctypes, pty, sqlite3, ssl; print('all')") == "all\n"
    found = within("/bin/sh", "-c", f"for name in {PROGRAMS}; do command -v $name; done")
    assert len(found.splitlines()) == len(PROGRAMS.split())
    assert (tmp_path / "root/tmp").stat().st_mode & 0o7777 == 0o1777


def test_a_folder_with_something_in_it_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(InstallError, match="is not empty"):
        build(tmp_path, tmp_path / "gam")
    assert [found.name for found in tmp_path.iterdir()] == ["kept"]
