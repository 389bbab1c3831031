"""Imitates a pod's ``/proc`` where the pod has no process ids of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

_LISTING = b"for process in /proc/[0-9]*;"


def lists_processes(line: bytes) -> bool:
    """Return whether a line of shell code visits all processes, one by one."""
    return _LISTING in line


def snapshot(folder: Path, variable: str, *, main: int, without: int) -> None:
    """Write the pod's current processes as files, in the form that the pod would see in ``/proc``.

    The main process gets the number 1 and becomes the parent of orphans. Processes that the emulator has
    started from outside get no parent. Processes other than the main one keep the numbers that they have on
    this machine.

    Args:
        folder: The folder to make, for ``PID/stat`` and ``PID/cmdline``.
        variable: ``NAME=value`` in the environment of the pod's processes.
        main: Process id of the main process.
        without: Process id of the asking process, which is left out with all of its descendants.
    """
    folder.mkdir(parents=True)
    stats = dict(_stats())
    ours = {pid for pid in stats if pid == main or variable.encode() in _read(pid, "environ").split(b"\0")}
    # A process that has emptied its environment is recognized by its parent.
    while more := {pid for pid in stats if _parent(stats[pid]) in ours} - ours:
        ours |= more
    asking = {without}
    while more := {pid for pid in ours if _parent(stats[pid]) in asking} - asking:
        asking |= more
    for pid in ours - asking:
        parent = _parent(stats[pid])
        if parent not in ours:
            parent = 0 if parent == os.getpid() else 1
        elif parent == main:
            parent = 1
        here = folder / str(1 if pid == main else pid)
        here.mkdir()
        head, state, _, rest = _fields(stats[pid])
        (here / "stat").write_bytes(b"%s) %s %d %s\n" % (head, state, 0 if pid == main else parent, rest))
        (here / "cmdline").write_bytes(_read(pid, "cmdline"))


def _stats() -> Iterator[tuple[int, bytes]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (line := _read(int(entry.name), "stat")):
            yield int(entry.name), line.rstrip(b"\n")


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""  # the process has ended, or belongs to another user


def _fields(stat: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Return number and name, state, parent, and the rest; the name may hold any characters."""
    head, _, tail = stat.rpartition(b") ")
    state, parent, rest = tail.split(b" ", 2)
    return head, state, parent, rest


def _parent(stat: bytes) -> int:
    return int(_fields(stat)[2])


def ignores_termination(pid: int) -> bool:
    """Return whether a process would ignore SIGTERM if it were process 1 of a pod.

    The kernel sends process 1 of a namespace only signals for which it has a handler.
    """
    for line in _read(pid, "status").splitlines():
        name, _, value = line.partition(b":")
        if name == b"SigCgt":
            return not int(value, 16) & 1 << (15 - 1)
    return False
