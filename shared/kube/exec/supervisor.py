"""What is sent into the pod to run a command, and how its first line of stderr is read."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping
from importlib import resources

from shared.core.commands import SHELL, Command
from shared.core.sessions.variables import MAX_COMMAND_BYTES
from shared.errors import InvalidRequest
from shared.reasons import Reason

WORKSPACE = "/workspace"
_LIMIT_MARGIN_SECONDS = 10
"""How much later than our limit the supervisor's own one comes: it is for the case that we are gone."""

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where our scripts look for programs before the container's PATH. The scripts hold the same list."""

_PID = re.compile("[0-9]{1,10}")
_SPECIAL = re.compile(r'[\\"$`]|\n(?=([0-9])?)')

STOP_SCRIPT = f"""\
PATH={SYSTEM_PATH}${{PATH:+:$PATH}}
"""
STOP_SCRIPT += """\
if [ -e /proc/self/cmdline ] && ! grep -q -- "$0" "/proc/$1/cmdline" 2>/dev/null; then exit 0; fi
kill -TERM "-$2"
i=0
while [ "$i" -lt 5 ] && kill -0 "$1" && kill -0 "$2"; do sleep 1; i=$((i + 1)); done 2>/dev/null
kill -KILL "-$2"
exit 0
"""
"""Ends a supervisor's command if the process still has this tag (process ids are used again).

It waits for the command, not only for its supervisor, which may wait until its last words are read.
"""


@functools.cache
def script(name: str, package: str = "shared.kube.exec") -> str:
    """A shell script of a package, without its comments, as it crosses the network with every command."""
    text = resources.files(package).joinpath(name).read_text()
    return "\n".join(line for line in text.splitlines() if line and not line.lstrip().startswith("#"))


def supervisor_argv(tag: str) -> list[str]:
    """The command of the exec request: only the tag in it varies."""
    return [SHELL, "-c", script("supervisor.sh"), tag, script("launch.sh")]


def stop_argv(tag: str, announced: Announcement) -> list[str]:
    """The command that ends a supervisor's command: TERM to the group, then KILL after 5 s."""
    return [SHELL, "-c", STOP_SCRIPT, tag, str(announced.supervisor_pid), str(announced.pid)]


def command_line(command: Command) -> bytes:
    """The line of shell code that tells the supervisor what to run.

    The line is at most twice as long as the words in it. It may be of any length, because a shell
    reads it: the kernel limits only the length of each word.

    Raises:
        InvalidRequest: A word is longer than an exec can take, or holds a NUL.
    """
    words = [*variables(command.env), *command.argv]
    for word in (*words, command.workdir):
        if "\0" in word:
            raise InvalidRequest("a command cannot hold a NUL character", reason=Reason.INVALID_FIELD)
        if len(word.encode()) > MAX_COMMAND_BYTES:
            raise InvalidRequest(
                f"one argument or variable is longer than {MAX_COMMAND_BYTES} bytes; send it as stdin",
                reason=Reason.COMMAND_TOO_LONG,
                max_bytes=MAX_COMMAND_BYTES,
            )
    assignments = {
        "gamgui_env": str(len(command.env)),
        "gamgui_dir": command.workdir or WORKSPACE,
        "gamgui_path": "system" if command.internal else "own",
        "gamgui_limit": str(round(command.timeout_seconds) + _LIMIT_MARGIN_SECONDS),
        "gamgui_stdin": "none" if command.stdin is None else "caller",
    }
    line = " ".join(f"{name}={_word(value)}" for name, value in assignments.items())
    line += "; set -- " + " ".join(map(_word, words))
    return line.encode() + b"\n"


def variables(env: Mapping[str, str]) -> list[str]:
    """Variables as launch.sh takes them: one word ``NAME=value`` each."""
    return [f"{name}={value}" for name, value in env.items()]


def _word(text: str) -> str:
    """The text as one shell word on one line: a newline becomes ``$1``, which holds one."""
    return f'"{_SPECIAL.sub(_escaped, text)}"'


def _escaped(found: re.Match[str]) -> str:
    if found[0] != "\n":
        return "\\" + found[0]
    return "${1}" if found[1] else "$1"


@dataclasses.dataclass(frozen=True, slots=True)
class Announcement:
    """The supervisor's first line: pids, or why the command cannot start."""

    supervisor_pid: int | None
    pid: int | None
    failure: str | None


def read_announcement(tag: str, line: bytes) -> Announcement | None:
    """Reads the supervisor's first line on stderr.

    Args:
        tag: The tag of this exec.
        line: The line without its newline.

    Returns:
        None when the line is not the supervisor's, which means that the shell itself failed.
    """
    words = line.decode(errors="replace").split(" ", 2)
    if len(words) != 3 or words[0] != tag:
        return None
    if words[1] == "!":
        return Announcement(None, None, words[2])
    if _PID.fullmatch(words[1]) and _PID.fullmatch(words[2]):
        return Announcement(int(words[1]), int(words[2]), None)
    return None
