"""Processes of this machine, from /proc: no test needs pgrep, pkill or ps."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

SHELL_KILL = """
for folder in /proc/[0-9]*; do
  arguments=
  read -r arguments 2>/dev/null <"$folder/cmdline"
  [ "$arguments" != "$1" ] || kill "${folder#/proc/}"
done
"""
"""The same in a pod: ends what was started with these words, which come without the spaces between them."""


def with_arguments(words: str) -> list[int]:
    """Process ids of those whose command line holds the words; zombies have none."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            arguments = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if words in arguments and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


def arguments_of(process: int) -> list[str]:
    """The words of its command line; none when it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_text(errors="replace").split("\0")[:-1]
    return []


def parent_of(process: int) -> int:
    """Process id of its parent; 0 when it is gone."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    return 0


def end(words: str) -> None:
    """Ends all of them.

    Raises:
        AssertionError: There are none.
    """
    found = with_arguments(words)
    assert found, words
    for process in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
