"""What is sent into the pod to run a command, and how its first line of stderr is read."""

from __future__ import annotations

import dataclasses
import functools
import shlex
from collections.abc import Mapping
from importlib import resources

from shared.errors import InvalidRequest
from shared.sessions.execution import SHELL, Command

WORKSPACE = "/workspace"
_LIMIT_MARGIN_SECONDS = 10
"""The supervisor's own limit comes after ours: it is for the case that we are gone."""

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where scripts of ours look for programs before the container's PATH. The scripts have it too."""

_SYSTEM_FIRST = f"PATH={SYSTEM_PATH}${{PATH:+:$PATH}}\n"

MAX_COMMAND_BYTES = 96 * 1024
"""Linux takes at most 128 KiB in one argument (MAX_ARG_STRLEN, execve(2))."""

STOP_SCRIPT = f"""\
PATH={SYSTEM_PATH}${{PATH:+:$PATH}}
"""
STOP_SCRIPT += """\
if [ -e /proc/self/cmdline ] && ! grep -q -- "$0" "/proc/$1/cmdline" 2>/dev/null; then exit 0; fi
kill -TERM "-$2"
i=0
while [ "$i" -lt 5 ] && kill -0 "$1" 2>/dev/null; do sleep 1; i=$((i + 1)); done
kill -KILL "-$2"
exit 0
"""
"""Ends the command of a supervisor that still is the one with this tag (process ids are used again)."""


@functools.cache
def script(name: str) -> str:
    """A shell script of this package, less its comments: it crosses the network with every command."""
    text = resources.files("shared.kube").joinpath(name).read_text()
    return "\n".join(line for line in text.splitlines() if line and not line.lstrip().startswith("#"))


def supervisor_argv(tag: str) -> list[str]:
    """The command of the exec request: constant but for the tag."""
    return [SHELL, "-c", script("supervisor.sh"), tag, script("launch.sh")]


def stop_argv(tag: str, announced: Announcement) -> list[str]:
    """The command that ends a supervisor's command: TERM to the group, then KILL after 5 s."""
    return [SHELL, "-c", STOP_SCRIPT, tag, str(announced.supervisor_pid), str(announced.pid)]


def command_line(command: Command) -> bytes:
    """The line of shell code that tells the supervisor what to run.

    Raises:
        InvalidRequest: The command is longer than an exec can take, or holds a NUL.
    """
    if any("\0" in argument for argument in command.argv) or "\0" in command.workdir:
        raise InvalidRequest("a command cannot hold a NUL character", reason="INVALID_FIELD")
    assignments = {
        "gamgui_env": (_SYSTEM_FIRST if command.internal else "") + exports(command.env),
        "gamgui_dir": command.workdir or WORKSPACE,
        "gamgui_limit": str(round(command.timeout_seconds) + _LIMIT_MARGIN_SECONDS),
        "gamgui_stdin": "none" if command.stdin is None else "caller",
    }
    line = " ".join(f"{name}={_word(value)}" for name, value in assignments.items())
    line += "; set -- " + " ".join(_word(argument) for argument in command.argv)
    encoded = line.encode()
    if len(encoded) > MAX_COMMAND_BYTES:
        raise InvalidRequest(
            f"command and variables are longer than {MAX_COMMAND_BYTES} bytes; send large input as stdin",
            reason="COMMAND_TOO_LONG",
            max_bytes=MAX_COMMAND_BYTES,
        )
    return encoded + b"\n"


def exports(env: Mapping[str, str]) -> str:
    """Shell code that exports variables."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in env.items()) or ":"


def end_of_input(tag: str) -> bytes:
    """What the supervisor says on stderr when a command with input has ended."""
    return f"{tag} .\n".encode()


def _word(text: str) -> str:
    """One shell word on one line: a newline becomes the variable that holds one."""
    return shlex.quote(text).replace("\n", "'\"$gamgui_n\"'")


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
        None when it is not the supervisor's: the shell itself failed.
    """
    words = line.decode(errors="replace").split(" ", 2)
    if len(words) != 3 or words[0] != tag:
        return None
    if words[1] == "!":
        return Announcement(None, None, words[2])
    if words[1].isdecimal() and words[2].isdecimal():
        return Announcement(int(words[1]), int(words[2]), None)
    return None
