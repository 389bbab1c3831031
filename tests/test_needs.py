"""No test needs what nobody names, and README.md says what is skipped for want of what."""

from __future__ import annotations

import ast
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.laptop import ROOT
from tests.support.needs import NUMBERS, THINGS, collected, table, with_table
from tests.support.patience import PATIENCE

# What every Debian has, and what the tests start by these names.
ESSENTIAL = {"sh", "dash", "bash", "sleep", "true", "cat", "env", "stat", "tar", "make"}
NAMED = {
    "java": "emulator",
    "gcloud": "emulator",
    "openssl": "openssl",
    "curl": "curl",
    "kubectl": "kubectl",
    "terraform": "terraform",
    "unshare": "namespaces",
    "busybox": "busybox",
}
STARTS = {"Popen", "check_output", "check_call", "create_subprocess_exec", "which"}
OWN = {"tests/support/needs.py", "tests/test_needs.py"}


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / "tests").rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if name not in OWN:
            yield name, ast.parse(path.read_text())


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def starts(node: ast.Call) -> bool:
    return called(node) in STARTS or ast.unparse(node.func) == "subprocess.run"


def program(node: ast.Call) -> str | None:
    """The program that a call starts, or looks for, by a name that stands there."""
    first = node.args[0] if node.args else None
    if isinstance(first, ast.List) and first.elts:
        first = first.elts[0]
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        return first.value
    return None


def test_every_program_that_a_test_starts_is_one_that_it_may_count_on_or_says_it_needs() -> None:
    assert {*NAMED.values()} <= {*THINGS}
    for name, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and starts(node) and (found := program(node)):
                # What is no program of this machine is a name of something else.
                known = found in ESSENTIAL or found in NAMED or shutil.which(found) is None
                assert known, f"{name}: {found} is to be named in tests/support/needs.py"


def test_nothing_asks_a_program_of_procps() -> None:
    for name, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                asked = re.search(r"(^|[|&;(] *)(pgrep|pkill|killall|ps|pidof)( |$)", node.value)
                assert asked is None, (name, node.value)


def test_what_is_missing_is_said_by_the_table_and_in_no_other_way() -> None:
    for name, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in {"skip", "skipif", "importorskip"}:
                raise AssertionError(f"{name}: use tests.support.needs")


@pytest.mark.timeout(600)  # all tests are collected, on a machine that may be busy
def test_the_readme_says_how_many_tests_need_what(pytestconfig: pytest.Config) -> None:
    numbers = pytestconfig.stash.get(NUMBERS, None)
    if numbers is None:  # only some tests were collected
        numbers = collected()
    readme = (ROOT / "README.md").read_text()
    assert with_table(readme, table(numbers)) == readme, "run make docs"


@pytest.mark.parametrize("required", ["", "1"])
def test_what_is_missing_is_skipped_with_its_package_or_fails(tmp_path: Path, required: str) -> None:
    test = tmp_path / "test_it.py"
    test.write_text(
        "from tests.support.needs import needs\n"
        "@needs('terraform')\ndef test_one(): pass\n@needs('terraform')\ndef test_two(): pass\n"
        "@needs('busybox')\ndef test_three(): pass\n"
    )
    (tmp_path / "conftest.py").write_text(
        "from tests.conftest import pytest_configure, pytest_runtest_setup, pytest_terminal_summary\n"
    )
    environment = {"PATH": str(tmp_path), "PYTHONPATH": str(ROOT), "REQUIRE_TERRAFORM": required}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, test],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "skipped:    1  needs busybox: `busybox-static`" in ran.stdout
    if required:
        assert "REQUIRE_TERRAFORM=1, but this needs Terraform" in ran.stdout
        assert ran.returncode == 1
    else:
        assert "skipped:    2  needs Terraform: `terraform` on `PATH`" in ran.stdout
        assert ran.returncode == 0


@pytest.mark.parametrize("how", ["here", "in a pod"])
def test_processes_are_ended_by_their_words_and_no_others(how: str) -> None:
    words = f"sleep {41_000_000 + len(how)}"
    child = subprocess.Popen(words.split())
    bystander = subprocess.Popen(["sleep", "42000000"])
    try:
        assert child.pid in processes.with_arguments(words)
        if how == "here":
            processes.end(words)
        else:
            subprocess.run(["sh", "-c", processes.SHELL_KILL, "sh", words.replace(" ", "")], check=True)
        assert child.wait(PATIENCE) == -signal.SIGTERM
        assert bystander.poll() is None
    finally:
        for process in (child, bystander):
            process.kill()
            process.wait()
