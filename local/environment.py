"""Makes a virtual environment from a lock: ``python3 local/environment.py FOLDER LOCK [--project]``.

It runs before anything is installed, so it uses the standard library only. The folder's file ``ready`` is
written last. A folder without this file is incomplete and is made again from nothing.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

STAMP = "ready"
_LEAST_PYTHON = (3, 11)
# pip prints the same when the index does not answer and when the index lacks the package.
_NOWHERE = re.compile(r"satisfies the requirement (\S+).*\(from versions: none\)")
_PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet")


class InstallError(Exception):
    """The environment could not be made; the message says why and what to do, in a line or two."""


def prepare(folder: Path, lock: Path, *, project: Path | None = None) -> None:
    """Makes the environment, or updates a complete one to the current lock.

    Args:
        folder: The folder of the environment.
        lock: The file that lists every package with its version and hashes.
        project: Folder of a project to install too, editable; its build needs only packages of the lock.

    Raises:
        InstallError: This Python cannot make an environment, or a package cannot be installed.
    """
    stamp = folder / STAMP
    whole = stamp.exists()
    stamp.unlink(missing_ok=True)
    if not whole:
        _require_python()
        if folder.exists():
            shutil.rmtree(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _run([sys.executable, "-m", "venv", str(folder)], "the virtual environment")
    python = str(folder / "bin/python")
    hashed = ("--require-hashes", "--only-binary", ":all:", "--requirement", str(lock))
    _run([python, *_PIP, *hashed], f"what {lock.name} names")
    if project is not None:
        alone = ("--no-deps", "--no-build-isolation", "--no-index", "--editable", str(project))
        _run([python, *_PIP, *alone], "this project")
    stamp.touch()


def _require_python() -> None:
    if sys.version_info < _LEAST_PYTHON:
        raise InstallError("Python 3.11 or newer is needed; name one with PYTHON=...")
    try:
        import ensurepip  # noqa: F401
    except ImportError as error:
        raise InstallError(
            "This Python has no ensurepip, which makes virtual environments; "
            "on Debian and Ubuntu: apt-get install python3-venv"
        ) from error


def _run(command: list[str], what: str) -> None:
    environment = dict(os.environ)
    if "PIP_CACHE_DIR" not in environment:
        # By default pip keeps its cache in the user's home folder, in which we must leave nothing.
        environment["PIP_NO_CACHE_DIR"] = "1"
    # pip asks rustc for its version, and rustup's rustc would make a folder in the user's home folder.
    environment["RUSTUP_HOME"] = os.devnull
    ran = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if ran.returncode:
        raise InstallError(f"{what} could not be installed: {_cause(ran.stdout)}")


def _cause(said: str) -> str:
    """The last error in a program's output, as one line."""
    if nowhere := _NOWHERE.search(said):
        return f"PyPI does not answer, or pip's settings lead elsewhere: {nowhere[1]} is nowhere to be had"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(\w*Error|ERROR|OSError)\b", line)]
    return (errors or lines or ["no reason was given"])[-1][:500]


def main() -> int:
    """Reads the arguments and makes the environment.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("lock", type=Path)
    parser.add_argument("--project", type=Path)
    options = parser.parse_args()
    print(f"Installing what is pinned in {options.lock} (once; takes a minute) ...", file=sys.stderr)
    try:
        prepare(options.folder, options.lock, project=options.project)
    except (InstallError, OSError) as error:
        print(f"Not installed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
