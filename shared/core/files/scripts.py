"""The commands that execute the scripts in the pod."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from importlib import resources
from typing import Literal, TypeAlias

from shared.core.commands import SHELL, Command

Script: TypeAlias = Literal["archive", "delete", "list", "put", "read", "unpack"]

_WRITING: frozenset[Script] = frozenset({"put", "unpack"})

_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC0"}
"""With these, messages, order and times do not depend on the image or on the session's variables."""


def script_command(
    script: Script, *arguments: str, timeout_seconds: float, stdin: AsyncIterator[bytes] | None = None
) -> Command:
    """The command that runs a script in the workspace.

    Args:
        script: The script; its file says what arguments it takes and what it prints.
        arguments: Its arguments, passed as they are; no part of them becomes part of the script.
        timeout_seconds: Time after which the command is ended.
        stdin: Its input.
    """
    argv = (SHELL, "-c", _text(script), f"gamgui-{script}", *arguments)
    return Command(argv=argv, timeout_seconds=timeout_seconds, stdin=stdin, env=_ENVIRONMENT, internal=True)


@functools.cache
def _text(script: Script) -> str:
    """A script behind the common beginning, without comments, as it crosses the network each time."""
    folder = resources.files("shared.core.files")
    names = ("walk", "make", script) if script in _WRITING else ("walk", script)
    lines = [
        line
        for name in names
        for line in folder.joinpath(f"{name}.sh").read_text(encoding="utf-8").splitlines()
    ]
    return "\n".join(line for line in lines if line and not line.lstrip().startswith("#"))
