"""Environment variables: how much of them there may be, and which of them a command gets.

A session's variables may be secrets, and what is in a pod's spec is in the API server's log. So
they stay in the session's document and go with each command to its pod, as do a command's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.errors import InvalidRequest
from shared.reasons import Reason

MAX_SESSION_BYTES = 64 * 1024
"""Names and values of a session, in UTF-8. A Firestore document may have 1 MiB."""

MAX_COMMAND_BYTES = 96 * 1024
"""A command's arguments, folder and variables of its own, in UTF-8, each with its end.

No single one is longer than Linux takes (128 KiB, MAX_ARG_STRLEN, execve(2)). The session's
variables do not count: whatever a session has, its commands have the same room.
"""

OURS = frozenset({"HOME", "GAMCFGDIR"})
"""Where a session's credentials are copied to. Only a single command may have others."""


def require_session_room(env: Mapping[str, str]) -> None:
    """Refuses variables of a session that are too many or too long.

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
        workdir: The folder.
        env: Variables of this command, without its session's.

    Raises:
        InvalidRequest: They are longer than ``MAX_COMMAND_BYTES`` (reason ``COMMAND_TOO_LONG``).
    """
    words = (*argv, workdir, *env, *env.values())
    if sum(len(word.encode()) + 1 for word in words) > MAX_COMMAND_BYTES:
        raise InvalidRequest(
            f"command and variables are longer than {MAX_COMMAND_BYTES} bytes; send large input as stdin",
            reason=Reason.COMMAND_TOO_LONG,
            max_bytes=MAX_COMMAND_BYTES,
        )


def of_command(session: Mapping[str, str], command: Mapping[str, str]) -> Mapping[str, str]:
    """The variables of a command: its own win over its session's."""
    return {**{name: value for name, value in session.items() if name not in OURS}, **command}
