"""Processes of the session exchange folders for links, as fast as they can, while the scripts work."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest

from tests.shared.core.files.test_put_script import wait_for_rest
from tests.shared.core.files.test_unpack_script import unpack
from tests.support.patience import PATIENCE
from tests.support.pod_scripts import Pod, names_in
from tests.support.proofs import times
from tests.support.tars import script_of, tar_of

T = TypeVar("T")
ROUNDS = times(100, 40)
SECRET = b"secret"
OURS = b"public"
_EXCHANGE = """
import ctypes, itertools, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
one, other = map(os.fsencode, sys.argv[1:])
turn = {signal.SIGUSR1}
signal.pthread_sigmask(signal.SIG_BLOCK, turn)
pauses = itertools.cycle([0.0, *(2.0 ** -octave for octave in range(17, 0, -1))])
pause = next(pauses)
begun = 0
while True:
    if libc.renameat2(here, one, here, other, exchange) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")
    if not begun:
        begun = os.write(1, b".")
    if signal.sigtimedwait(turn, pause):
        pause = next(pauses)
"""
"""At every moment there is either the one or the other (renameat2(2)).

Each signal changes the pace, from as fast as it goes to half a second and round again: on any machine some
of them are slower than a script, and some are faster than each of its steps.
"""


class Exchange:
    """A program that exchanges two names for each other."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def raced(self, act: Callable[[], T], wanted: set[T], rounds: int = ROUNDS) -> set[T]:
        """Acts so often, each at another pace, and until each end was met that says that the race was run.

        Returns: All ends that were met.
        """
        met: set[T] = set()
        begun, number = time.monotonic(), 0
        while number < rounds or not met >= wanted:
            assert time.monotonic() - begun < PATIENCE, f"the race was not run: {met}"
            met.add(act())
            self._process.send_signal(signal.SIGUSR1)
            number += 1
        return met


@contextlib.contextmanager
def exchanged(one: Path, other: Path, *, until_removed: bool = False) -> Iterator[Exchange]:
    # A program of its own: a fork would have what other tests left in this process, such as gRPC's threads.
    process = subprocess.Popen([sys.executable, "-c", _EXCHANGE, one, other], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read(1)  # it has begun
    try:
        yield Exchange(process)
        assert until_removed or process.poll() is None, "the exchange did not go on"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Trap(NamedTuple):
    """``way`` is a folder of the workspace one moment, and a link out of it the next."""

    pod: Pod
    exchange: Exchange


@pytest.fixture
def trap(pod: Pod) -> Iterator[Trap]:
    (pod.outside / "file").write_bytes(SECRET)
    (pod.workspace / "way").mkdir()
    (pod.workspace / "way/file").write_bytes(OURS)
    (pod.workspace / "exit").symlink_to(pod.outside)
    with exchanged(pod.workspace / "way", pod.workspace / "exit") as exchange:
        yield Trap(pod, exchange)


def test_nothing_is_written_elsewhere(trap: Trap) -> None:
    trap.exchange.raced(lambda: trap.pod.put("way/new", OURS).split()[0], {b"stored", b"!outside"})
    assert names_in(trap.pod.outside) == ["file"]


def test_nothing_is_unpacked_elsewhere(trap: Trap) -> None:
    trap.exchange.raced(
        lambda: unpack(trap.pod, {"way/new": OURS, "way/more/new": OURS}).split()[0],
        {"unpacked", "!outside"},
        ROUNDS // 2,
    )
    trap.exchange.raced(
        lambda: unpack(trap.pod, {"new": OURS, "more/new": OURS}, "way").split()[0],
        {"unpacked", "!broken", "!outside"},
        ROUNDS // 2,
    )
    assert names_in(trap.pod.outside) == ["file"]
    assert (trap.pod.outside / "file").read_bytes() == SECRET


@pytest.mark.parametrize("part", ["", "0"], ids=["all of it", "its files"])
def test_nothing_is_written_through_an_upload_that_is_exchanged(pod: Pod, part: str) -> None:
    (pod.outside / "0").mkdir()
    (pod.outside / "0/new").write_bytes(SECRET)
    (pod.outside / "new").write_bytes(SECRET)
    before = names_in(pod.outside), names_in(pod.outside / "0")
    _, script = asyncio.run(script_of(tar_of({"new": OURS})))
    said = set()
    for _ in range(ROUNDS // 4):
        process = pod.start("unpack", "0123abcd")
        wait_for_rest(pod)
        ours = pod.workspace / pod.rests[0]
        if part:
            (ours / part).mkdir()
        link = pod.workspace / "link"
        link.symlink_to(pod.outside / part)
        with exchanged(ours / part, link, until_removed=True):
            output, _ = process.communicate(script, timeout=PATIENCE)
        said.add(output.split()[0])
        shutil.rmtree(pod.workspace)
        pod.workspace.mkdir()
    assert said <= {b"unpacked", b"!broken", b"!denied"}
    assert (names_in(pod.outside), names_in(pod.outside / "0")) == before
    assert (pod.outside / "0/new").read_bytes() == (pod.outside / "new").read_bytes() == SECRET


def test_nothing_is_read_elsewhere(trap: Trap) -> None:
    def read() -> bytes:
        _, answer = trap.pod.read("way/file", f"0 {len(SECRET)}\n")
        assert SECRET not in answer
        return answer[0].split()[0]

    trap.exchange.raced(read, {b"6", b"!outside"})


def test_nothing_is_deleted_elsewhere(trap: Trap) -> None:
    trap.exchange.raced(lambda: trap.pod.run("delete", "file", "way")[1], {b"!outside\n"})
    assert (trap.pod.outside / "file").read_bytes() == SECRET


def test_a_folder_that_takes_the_files_place_does_not_take_it_in(pod: Pod) -> None:
    (pod.workspace / "file").write_bytes(OURS)
    (pod.workspace / "exit").symlink_to(pod.outside)
    with exchanged(pod.workspace / "file", pod.workspace / "exit") as exchange:
        said = exchange.raced(lambda: pod.put("file", OURS).split()[0], {b"stored"})
    assert said <= {b"stored", b"!folder", b"!denied"}  # busybox' mv looks first; by then we see a file again
    assert names_in(pod.outside) == []


def test_a_file_that_becomes_a_link_out_is_not_read(pod: Pod) -> None:
    (pod.outside / "file").write_bytes(SECRET)
    (pod.workspace / "file").write_bytes(OURS)
    (pod.workspace / "exit").symlink_to(pod.outside / "file")

    def read() -> bytes:
        _, answer = pod.read("file", f"0 {len(SECRET)}\n")
        assert SECRET not in answer
        return answer[0].split()[0]

    with exchanged(pod.workspace / "file", pod.workspace / "exit") as exchange:
        exchange.raced(read, {b"6", b"!outside"})
