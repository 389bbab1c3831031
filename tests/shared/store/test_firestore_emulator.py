"""Finding and running Firestore's emulator, as the other tests and the benchmarks do."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.firestore_emulator import EmulatorAbsentError, emulator_command, firestore_emulator, stop
from tests.support.patience import PATIENCE


def an_sdk(root: Path) -> Path:
    """A folder that looks like the Google Cloud SDK with the emulator in it; its jar."""
    jar = root / "platform" / "cloud-firestore-emulator" / "cloud-firestore-emulator.jar"
    for file in (jar, root / "bin" / "gcloud", root / "bin" / "java"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o755)
    return jar


def test_emulator_is_found_beside_gcloud_even_through_a_link(tmp_path: Path) -> None:
    jar = an_sdk(tmp_path / "sdk")
    (tmp_path / "bin").mkdir()
    for name in ("gcloud", "java"):
        (tmp_path / "bin" / name).symlink_to(tmp_path / "sdk" / "bin" / name)
    assert str(jar) in emulator_command({"PATH": str(tmp_path / "bin")})


def test_emulator_is_found_in_the_sdk_that_the_environment_names(tmp_path: Path) -> None:
    jar = an_sdk(tmp_path)
    assert str(jar) in emulator_command({"PATH": "", "JAVA": "java", "CLOUDSDK_ROOT_DIR": str(tmp_path)})


def test_absent_java_and_absent_emulator_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(EmulatorAbsentError, match="Java"):
        emulator_command({"PATH": str(tmp_path)})
    with pytest.raises(EmulatorAbsentError, match="gcloud components install"):
        emulator_command({"PATH": str(tmp_path), "JAVA": "java"})


def test_emulator_that_runs_already_is_used() -> None:
    with firestore_emulator({"FIRESTORE_EMULATOR_HOST": "127.0.0.1:8080"}) as host:
        assert host == "127.0.0.1:8080"


def test_emulator_that_cannot_start_says_why(tmp_path: Path) -> None:
    an_sdk(tmp_path)
    java = tmp_path / "bin" / "java"
    java.write_text("#!/bin/sh\necho no memory; exit 1\n")
    environ = {"PATH": str(tmp_path / "bin"), "CLOUDSDK_ROOT_DIR": str(tmp_path)}
    with pytest.raises(TimeoutError, match="no memory"), firestore_emulator(environ):
        pass


def test_stop_ends_the_whole_group() -> None:
    """The child's child holds the socket's other end: it closes when that one ends too."""
    ours, theirs = socket.socketpair()
    sleep = "import time; time.sleep(60)"
    program = (
        "import subprocess, sys, time;"
        f"subprocess.Popen([sys.executable, '-c', {sleep!r}], close_fds=False);"
        "print(1, flush=True); time.sleep(60)"
    )
    with ours:
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        stop(process)
        ours.settimeout(PATIENCE)
        assert ours.recv(1) == b""
        process.stdout.close()
    assert process.returncode == -signal.SIGTERM


def test_required_emulator_that_is_absent_fails_the_test(tmp_path: Path) -> None:
    test = tmp_path / "test_it.py"
    test.write_text(
        "from tests.support.firestore_fixtures import firestore_host\ndef test_it(firestore_host): pass\n"
    )
    for required, outcome in (("1", "1 error"), ("", "1 skipped")):
        environment = {
            "PATH": str(tmp_path),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "REQUIRE_FIRESTORE_EMULATOR": required,
        }
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                "-p",
                "tests.support.needs",
                "--rootdir",
                str(tmp_path),
                str(test),
            ],
            check=False,
            env=environment,
            capture_output=True,
            timeout=PATIENCE,
        )
        assert outcome in done.stdout.decode()
