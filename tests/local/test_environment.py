"""Environments are made from locks, and what broke off is made again."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.environment import STAMP, InstallError, prepare
from local.images import prepare_image
from tests.support.laptop import ROOT, base_environment
from tests.support.patience import PATIENCE

_WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The only place from which pip takes packages."""
    folder = tmp_path_factory.mktemp("index")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(folder))
        yield folder


def package(index: Path, name: str) -> str:
    """Puts a package there; its line of a lock."""
    wheel = index / f"{name}-1.0-py3-none-any.whl"
    if not wheel.exists():
        info = f"{name}-1.0.dist-info"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(f"{name}.py", "HERE = True\n")
            archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            archive.writestr(f"{info}/WHEEL", _WHEEL)
            archive.writestr(
                f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
            )
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"{name}==1.0 \\\n    --hash=sha256:{digest}\n"


def missing(index: Path) -> str:
    """A lock's line of a package that is not to be had."""
    return package(index, "second").replace("second", "third")


def has(folder: Path, name: str) -> bool:
    ran = subprocess.run([folder / "bin/python", "-c", f"import {name}"], capture_output=True, check=False)
    return ran.returncode == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, index: Path) -> Path:
    """A whole environment with one package: it takes seconds to make, so tests copy it."""
    folder = tmp_path_factory.mktemp("made") / "environment"
    # As Debian leaves it without python3-venv: a Python, and no pip.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (folder / "rest").touch()
    lock = folder.with_name("some.lock")
    lock.write_text(package(index, "first"))
    prepare(folder, lock)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "images/gam-session", symlinks=True))


def test_one_without_pip_is_made_again_from_nothing(made: Path) -> None:
    assert has(made, "first")
    assert (made / STAMP).exists()
    assert not (made / "rest").exists()


def test_what_is_whole_takes_what_has_changed_and_is_not_made_again(
    tmp_path: Path, index: Path, folder: Path
) -> None:
    lock = tmp_path / "some.lock"
    lock.write_text(package(index, "first") + package(index, "second"))
    (folder / "kept").touch()
    prepare(folder, lock)
    assert has(folder, "first") and has(folder, "second")
    assert (folder / "kept").exists()


def test_one_that_was_killed_is_made_again(tmp_path: Path, index: Path) -> None:
    lock = tmp_path / "some.lock"
    lock.write_text(package(index, "first"))
    folder = tmp_path / "environment"
    command = [sys.executable, str(ROOT / "local/environment.py"), str(folder), str(lock)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + PATIENCE
    while not (folder / "bin/python").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / STAMP).exists()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert has(folder, "first")


def test_an_image_that_broke_off_is_made_again_from_nothing_even_of_the_old_lock(
    tmp_path: Path, index: Path, folder: Path
) -> None:
    lock = tmp_path / "some.lock"
    old = package(index, "first") + package(index, "second")
    lock.write_text(old)
    assert prepare_image(tmp_path / "images", lock) == folder
    made = (folder / "installed.txt").stat().st_mtime_ns
    assert prepare_image(tmp_path / "images", lock) == folder
    assert (folder / "installed.txt").stat().st_mtime_ns == made
    # pip breaks off: one package is not to be had any more.
    lock.write_text(package(index, "first") + missing(index))
    with pytest.raises(InstallError, match="third"):
        prepare_image(tmp_path / "images", lock)
    assert not (folder / STAMP).exists()
    (folder / "rest").touch()
    lock.write_text(old)
    prepare_image(tmp_path / "images", lock)
    assert has(folder, "first") and has(folder, "second")
    assert not (folder / "rest").exists()
    assert (folder / "installed.txt").stat().st_mtime_ns != made


@pytest.mark.parametrize(
    ("without", "told"),
    [
        ("ensurepip", "apt-get install python3-venv"),
        ("network", "PyPI does not answer"),
        ("permission", "Permission denied|Read-only|Not a directory|File exists"),
        ("hash", "do not match the hashes|hash"),
    ],
)
def test_why_none_can_be_made_is_told_in_a_line(
    tmp_path: Path, index: Path, folder: Path, without: str, told: str
) -> None:
    lock = tmp_path / "some.lock"
    lock.write_text(package(index, "first") + package(index, "second"))
    environment = base_environment(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(index), HOME=str(tmp_path))
    if without == "ensurepip":
        (folder / STAMP).unlink()
        hidden = tmp_path / "hidden/ensurepip.py"
        hidden.parent.mkdir()
        hidden.write_text("raise ImportError('not on this machine')\n")
        environment["PYTHONPATH"] = str(hidden.parent)
    elif without == "network":
        # Nobody listens on that port.
        environment |= {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": "http://127.0.0.1:1/simple", "PIP_RETRIES": "0"}
        environment |= {"PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}
    elif without == "permission":
        folder = lock / "environment"
    else:
        lock.write_text(re.sub("sha256:....", "sha256:0000", lock.read_text()))
    command = [sys.executable, str(ROOT / "local/environment.py"), str(folder), str(lock)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    (_, line) = ran.stderr.splitlines()
    assert re.search(told, line), line
    assert not (tmp_path / ".cache").exists()
