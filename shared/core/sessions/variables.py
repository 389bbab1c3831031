"""Environment variables: how long they may be, and which of them a command gets.

A session's variables may be secrets, and the API server's log shows a pod's spec. So the variables stay in
the session's document, and each command takes them to the pod together with its own variables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.errors import InvalidRequest
from shared.reasons import Reason

MAX_SESSION_BYTES = 64 * 1024
"""Maximum size of a session's names and values together, in UTF-8. A Firestore document may have 1 MiB."""

MAX_COMMAND_BYTES = 96 * 1024
"""Maximum size of a command's arguments, folder and own variables together, in UTF-8, each with its NUL byte.

So no single argument exceeds the limit of Linux (128 KiB, MAX_ARG_STRLEN, execve(2)). The session's
variables do not count, so that all commands have the same room.
"""

OURS = frozenset({"HOME", "GAMCFGDIR"})
"""The variables with the folders of a session's credentials. A command may override them, a session not."""


def require_session_room(env: Mapping[str, str]) -> None:
    """Refuses a session's variables if they are too long together.

    Raises:
        InvalidRequest: They are longer than ``MAX_SESSION_BYTES`` (reason ``FIELD_TOO_LONG``).
    """
    if sum(len(name.encode()) + len(value.encode()) for name, value in env.items()) > MAX_SESSION_BYTES:
        raise InvalidRequest(
            f"env has more than {MAX_SESSION_BYTES} bytes of names and values",
            reason=Reason.FIELD_TOO_LONG,
            field="env",
            max_bytes=MAX_SESSION_BYTES,
        )


def require_room(argv: Sequence[str], workdir: str, env: Mapping[str, str]) -> None:
    """Refuses a command that is too long.

    Args:
        argv: Program and arguments.
        workdir: The folder in which the command runs.
        env: The command's own variables, without its session's.

    Raises:
        InvalidRequest: These are longer than ``MAX_COMMAND_BYTES`` together (reason ``COMMAND_TOO_LONG``).
    """
    words = (*argv, workdir, *env, *env.values())
    if sum(len(word.encode()) + 1 for word in words) > MAX_COMMAND_BYTES:
        raise InvalidRequest(
            f"command and variables are longer than {MAX_COMMAND_BYTES} bytes; send large input as stdin",
            reason=Reason.COMMAND_TOO_LONG,
            max_bytes=MAX_COMMAND_BYTES,
        )


def of_command(session: Mapping[str, str], command: Mapping[str, str]) -> Mapping[str, str]:
    """All variables of a command: its own take precedence over its session's, which never set ``OURS``."""
    return {**{name: value for name, value in session.items() if name not in OURS}, **command}
