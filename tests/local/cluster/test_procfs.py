"""What a pod sees of /proc where it has no process ids of its own."""

import functools
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.cluster.runtime.procfs import ignores_termination, lists_processes, snapshot
from tests.support.needs import needs

from .client import until

pytestmark = needs("proc")

# Its children say that they are there: one plain, one in a session of its own, one without environment.
_MAIN = """
sleep 3151 & echo $!
setsid sleep 3152 & echo $!
env -i sleep 3153 & echo $!
wait
"""


def _words(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]


def _has_words(pid: int, words: list[str]) -> bool:
    return _words(pid) == words


def _ignores(pid: int, expected: bool) -> bool:
    return ignores_termination(pid) is expected


def _run(*argv: str, **variables: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv, env={**os.environ, **variables}, start_new_session=True)


@pytest.fixture
def mark() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def main(mark: str) -> Iterator[subprocess.Popen[str]]:
    """The main process of a pod, in a process group of its own."""
    with subprocess.Popen(
        ["sh", "-c", _MAIN],
        env={**os.environ, "MARK": mark},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        yield process
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), 9)
        process.kill()


async def test_a_pod_sees_its_own_processes_and_no_others(
    tmp_path: Path, main: subprocess.Popen[str], mark: str
) -> None:
    assert main.stdout is not None
    children = {int(main.stdout.readline()): f"sleep {number}".split() for number in (3151, 3152, 3153)}
    for child, words in children.items():
        await until(functools.partial(_has_words, child, words))
    entered = _run("sleep", "3154", MARK=mark)
    asking = _run("sh", "-c", "sleep 3155 & wait", MARK=mark)
    stranger = _run("sleep", "3156", MARK=f"{mark}x", X=f"MARK={mark}")
    try:
        snapshot(tmp_path / "proc", f"MARK={mark}", main=main.pid, without=asking.pid)
    finally:
        for process in (entered, stranger):
            process.kill()
            process.wait()
        os.killpg(asking.pid, 9)
        asking.wait()
    seen = {int(folder.name): folder for folder in (tmp_path / "proc").iterdir()}
    assert set(seen) == {1, *children, entered.pid}
    parents = {}
    for pid, folder in seen.items():
        head, _, rest = (folder / "stat").read_text().rpartition(") ")
        state, parent, *others = rest.split()
        parents[pid] = int(parent)
        assert "(" in head and len(state) == 1 and len(others) >= 40
    assert parents == {1: 0, **dict.fromkeys(children, 1), entered.pid: 0}
    assert (seen[1] / "cmdline").read_bytes().startswith(b"sh\0-c\0")
    for child, words in children.items():
        assert (seen[child] / "cmdline").read_bytes() == "".join(f"{word}\0" for word in words).encode()


async def test_process_1_notices_sigterm_only_if_it_has_a_handler() -> None:
    for script, ignores in (("exec sleep 3157", True), ("trap : TERM; echo; wait; sleep 3157", False)):
        process = _run("sh", "-c", script)
        try:
            await until(functools.partial(_ignores, process.pid, ignores))
        finally:
            os.killpg(process.pid, 9)
            process.wait()
    assert not ignores_termination(process.pid), "it has ended"


def test_only_a_line_that_goes_through_all_processes_gets_them() -> None:
    assert lists_processes(b"x; for process in /proc/[0-9]*; do :; done\n")
    assert not lists_processes(b"cat /proc/self/cwd /proc/1/stat\n")
