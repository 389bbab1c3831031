"""Memory of processes, from /proc (https://man7.org/linux/man-pages/man5/proc_pid_status.5.html)."""

from __future__ import annotations

from pathlib import Path

_KIB_PER_MIB = 1024


def resident_mib(pid: int) -> float:
    """What the process holds in memory now (VmRSS), in MiB."""
    return _status(pid, "VmRSS")


def peak_mib(pid: int) -> float:
    """The most memory that the process has held since its start or since ``reset_peak`` (VmHWM), in MiB."""
    return _status(pid, "VmHWM")


def reset_peak(pid: int) -> None:
    """Restarts the peak from what the process holds now (proc_pid_clear_refs(5))."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def family(pid: int) -> list[int]:
    """The process and all its living descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in family(int(child)))]


def _status(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) / _KIB_PER_MIB
    raise RuntimeError(f"process {pid} has no {field}")
