"""The session's image, as far as it can be judged without building it, and how its pod starts."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.kube.credentials.copying import COPIED, GAM_FOLDER, MOUNTED
from shared.kube.pods.manifest import START_SCRIPT, USER_ID
from tests.support.laptop import ROOT
from tests.support.needs import needs
from tests.support.patience import PATIENCE

IMAGE = ROOT / "images/gam-session"
_SECONDS = PATIENCE
PROGRAMS = {
    "coreutils": "cat chmod cut date dd head mkdir mkfifo mv readlink rm rmdir sha256sum sleep stat tail wc",
    "procps": "kill",
    "tar": "tar",
    "util-linux": "setsid",
}
"""Debian's packages with the programs that our scripts start in a pod."""


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, each in one line, without comments."""
    lines = [line for line in (IMAGE / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in joined.splitlines() if line]


def last_stage() -> list[tuple[str, str]]:
    found = instructions()
    return found[max(index for index, (name, _) in enumerate(found) if name == "FROM") :]


def argument(name: str) -> str:
    """The argument of an instruction that the last stage has once."""
    (found,) = [text for instruction, text in last_stage() if instruction == name]
    return found


def packages() -> set[str]:
    install = re.search(r"apt-get install ([^&]*)", " ".join(text for _, text in last_stage()))
    assert install is not None
    return {word for word in shlex.split(install[1]) if not word.startswith("-")}


def test_the_image_runs_as_the_user_of_the_manifest_and_where_it_works() -> None:
    assert argument("USER") == f"{USER_ID}:{USER_ID}"
    assert argument("WORKDIR") == "/workspace"
    assert json.loads(argument("ENTRYPOINT")) == ["/usr/bin/tini", "--"]


def test_both_stages_are_of_one_named_version_of_python() -> None:
    bases = {text.split()[0] for name, text in instructions() if name == "FROM"}
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+@sha256:[0-9a-f]{64}", bases.pop())


def test_every_program_that_scripts_start_is_in_a_package_of_the_image() -> None:
    scripts = " ".join(file.read_text() for file in (ROOT / "shared").rglob("*.sh")) + START_SCRIPT
    for program in " ".join(PROGRAMS.values()).split():
        assert re.search(rf"\b{program}\b", scripts), program
    assert packages() == {*PROGRAMS, "ca-certificates", "tini", "tmux"}


def test_the_lock_has_the_pinned_gam_and_a_hash_for_everything() -> None:
    lock = (IMAGE / "requirements.lock").read_text()
    (pinned,) = (IMAGE / "requirements.txt").read_text().split()
    entries = re.split(r"\n(?=\S)", lock.replace("\\\n", " "))
    assert any(entry.startswith(f"{pinned} ") for entry in entries)
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+==[^ ]+ ", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry
    assert "://" not in lock
    assert "--require-hashes" in " ".join(text for _, text in instructions())


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A root with busybox, the pod's empty volumes, and credentials as Kubernetes mounts them."""
    busybox = shutil.which("busybox")
    assert busybox is not None
    root = tmp_path / "root"
    for folder in ("bin", "dev", "home/gam", "tmp", "workspace", Path(COPIED).parent, f"{MOUNTED}/..data"):
        (root / str(folder).lstrip("/")).mkdir(parents=True)
    shutil.copy(busybox, root / "bin/busybox")
    for applet in ("cat", "chmod", "mkdir", "sh", "sleep"):
        (root / "bin" / applet).symlink_to("busybox")
    mounted = root / MOUNTED.lstrip("/")
    (mounted / "..data/oauth2.txt").write_text("secret")
    (mounted / "oauth2.txt").symlink_to("..data/oauth2.txt")
    return root


@contextlib.contextmanager
def started(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The manifest's start command, alone in the root, with namespaces of its own and no network."""
    unshare = ["unshare", "--user", f"--map-user={USER_ID}", f"--map-group={USER_ID}", "--net", "--pid"]
    command = [*unshare, "--fork", "--kill-child", f"--root={root}", "/bin/sh", "-c", START_SCRIPT]
    process = subprocess.Popen(command, env={"PATH": "/bin"}, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


@needs("namespaces")
def test_the_start_command_makes_the_home_of_nothing_and_waits(bare: Path) -> None:
    with started(bare) as process:
        deadline = time.monotonic() + _SECONDS
        while not (bare / COPIED.lstrip("/")).exists():
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            assert time.monotonic() < deadline
            time.sleep(0.01)
        folder = bare / GAM_FOLDER.lstrip("/")
        assert folder.stat().st_mode & 0o7777 == 0o700
        assert {file.name: file.stat().st_mode & 0o7777 for file in folder.iterdir()} == {"oauth2.txt": 0o600}
        assert (folder / "oauth2.txt").read_text() == "secret"
        assert process.poll() is None
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGTERM)
        assert process.wait(_SECONDS) == 0
