"""What a test needs that no package of Python's brings: named here, and nowhere else.

A test says ``@needs("busybox")``; a fixture that needs something stands in ``FIXTURES``. Where it is
missing the test is skipped with the name of the package, or fails if the thing is required. The
run ends with what was skipped for want of what, and README.md's table is counted from the tests.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.firestore_emulator import EmulatorAbsentError, emulator_command

ROOT = Path(__file__).resolve().parents[2]
BEGIN = "<!-- needs: made by `make docs` from the tests -->"
END = "<!-- end of needs -->"
NUMBERS = pytest.StashKey[Counter[str]]()
_ASKED = "NEEDS_ARE_WRITTEN_TO"


@dataclasses.dataclass(frozen=True, slots=True)
class Thing:
    """Something that may be missing.

    Args:
        what: Its name for people.
        package: What brings it.
        present: Whether it is on this machine.
        required_by: The variable that makes its absence a failure, when it is 1.
    """

    what: str
    package: str
    present: Callable[[], bool]
    required_by: str = ""


@cache
def kubectl_path() -> str | None:
    """The kubectl that the lock pins, else the machine's."""
    own = Path(sys.executable).with_name("kubectl")
    return str(own) if own.exists() else shutil.which("kubectl")


@cache
def _emulator() -> bool:
    try:
        return bool(os.environ.get("FIRESTORE_EMULATOR_HOST")) or bool(emulator_command(os.environ))
    except EmulatorAbsentError:
        return False


@cache
def _namespaces() -> bool:
    if shutil.which("unshare") is None:
        return False
    mount = ["unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--fork"]
    mount += ["mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(mount, capture_output=True, check=False).returncode == 0


THINGS = {
    "emulator": Thing(
        "Firestore's emulator and Java",
        "`default-jre-headless`, and the Google Cloud SDK with its component `cloud-firestore-emulator`",
        _emulator,
        "REQUIRE_FIRESTORE_EMULATOR",
    ),
    "kubectl": Thing(
        "kubectl",
        "comes with `requirements-dev.lock` on Linux (amd64, arm64); else `kubectl` on `PATH`",
        lambda: kubectl_path() is not None,
        "REQUIRE_KUBECTL",
    ),
    "terraform": Thing(
        "Terraform",
        "`terraform` on `PATH`",
        lambda: shutil.which("terraform") is not None,
        "REQUIRE_TERRAFORM",
    ),
    "busybox": Thing("busybox", "`busybox-static`", lambda: shutil.which("busybox") is not None),
    "namespaces": Thing(
        "user namespaces",
        "`util-linux` (unshare), and a kernel or container that allows them",
        _namespaces,
    ),
    "openssl": Thing("openssl", "`openssl`", lambda: shutil.which("openssl") is not None),
    "bash": Thing("bash", "`bash`", lambda: shutil.which("bash") is not None),
    "local cluster": Thing(
        "the local cluster",
        "`CONTRACT_CLUSTER` is not set",
        lambda: os.environ.get("CONTRACT_CLUSTER") != "real",
    ),
    "curl": Thing("curl", "`curl`", lambda: shutil.which("curl") is not None),
    "proc": Thing("Linux's /proc", "Linux", lambda: Path("/proc/version").exists()),
    "loopback network": Thing("all of 127.0.0.0/8", "Linux", lambda: sys.platform == "linux"),
}
FIXTURES = {"firestore_host": "emulator", "kubectl": "kubectl", "edge_kubectl": "kubectl", "bare": "busybox"}


def needs(*names: str) -> pytest.MarkDecorator:
    """Marks a test, or a parameter, that needs things of ``THINGS``."""
    for name in names:
        assert name in THINGS, name
    mark: pytest.MarkDecorator = pytest.mark.needs(*names)
    return mark


def needs_here(*names: str) -> pytest.MarkDecorator:
    """The same for a test of the contract: what the local cluster needs, a real one does not."""
    return needs(*(() if os.environ.get("CONTRACT_CLUSTER") == "real" else names))


def needed(item: pytest.Item) -> list[str]:
    """The things that a test needs, by its marks and its fixtures."""
    marked = {name for mark in item.iter_markers("needs") for name in mark.args}
    fixtures = {FIXTURES[name] for name in getattr(item, "fixturenames", ()) if name in FIXTURES}
    return sorted(marked | fixtures)


def pytest_configure(config: pytest.Config) -> None:
    """Makes the mark known."""
    config.addinivalue_line("markers", "needs(names): skipped where a thing of tests/support/needs.py is not")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips the test for want of what it needs; fails it if that is required."""
    for name in needed(item):
        thing = THINGS[name]
        if thing.present():
            continue
        told = f"needs {thing.what}: {thing.package}"
        if os.environ.get(thing.required_by) == "1":
            pytest.fail(f"{thing.required_by}=1, but this {told}", pytrace=False)
        pytest.skip(told)


def summary(reports: list[Any]) -> list[str]:
    """A line for each thing: how many tests were skipped for want of it."""
    reasons = Counter(str(report.longrepr[2]) for report in reports if isinstance(report.longrepr, tuple))
    found = {re.sub(r"^Skipped: ", "", reason): number for reason, number in reasons.items()}
    return [
        f"skipped: {number:4}  {reason}" for reason, number in sorted(found.items()) if "needs " in reason
    ]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keeps how many tests need what, if all tests were collected."""
    # Where the SDK has more versions of kubectl, the same test runs once more with each.
    numbers = Counter(name for item in session.items if "-sdk" not in item.name for name in needed(item))
    option = session.config.option
    whole = [Path(argument).resolve() for argument in session.config.args] == [ROOT / "tests"]
    if whole and not option.keyword and not option.markexpr:
        session.config.stash[NUMBERS] = numbers
    if option.collectonly and os.environ.get(_ASKED):
        Path(os.environ[_ASKED]).write_text(json.dumps(numbers))


def collected() -> Counter[str]:
    """How many tests need what. Collects all in a process of its own, which takes some seconds.

    Raises:
        AssertionError: They cannot be collected.
    """
    with tempfile.NamedTemporaryFile() as answer:
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests"],
            cwd=ROOT,
            env={**os.environ, _ASKED: answer.name},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout[-2000:]
        return Counter(json.loads(Path(answer.name).read_text()))


def table(numbers: Counter[str]) -> str:
    """README's table: thing, package, number of tests."""
    rows = ["| what is missing | what brings it | tests that are skipped |", "|---|---|---|"]
    rows += [f"| {thing.what} | {thing.package} | {numbers[name]} |" for name, thing in THINGS.items()]
    return "\n".join(rows)


def with_table(readme: str, made: str) -> str:
    """The README's text with the table as it must be."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(with_table(path.read_text(), table(collected())))
