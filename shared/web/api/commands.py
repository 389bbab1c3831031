"""The commands in requests, for exec and for jobs."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, TypeAlias

import msgspec

from shared.core.commands import Command
from shared.core.jobs.model import NewJob
from shared.core.sessions import names
from shared.settings.commands import CommandSettings
from shared.settings.sessions import SessionSettings
from shared.web.http.schemas import BASE64, MAX_SECONDS, NO_NUL, PATH, Argument, EnvMap, Name, invalid, refuse

Base64: TypeAlias = Annotated[str, msgspec.Meta(pattern=BASE64)]


class CommandFields(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What to run. If ``command`` is a text, it is a line for the pod's shell."""

    command: (
        Annotated[str, msgspec.Meta(min_length=1, pattern=NO_NUL)]
        | Annotated[list[Argument], msgspec.Meta(min_length=1, max_length=4096)]
    )
    workdir: Annotated[str, msgspec.Meta(pattern=PATH, max_length=4096)] = ""
    env: EnvMap = {}

    def __repr__(self) -> str:
        """Without the values, which may be secret."""
        return f"{type(self).__name__}(...)"

    def argv(self) -> Sequence[str]:
        """Program and arguments.

        Raises:
            InvalidRequest: There is no program, or a variable has no proper name.
        """
        refuse("env", names.env_fault(self.env))
        argv = ["sh", "-c", self.command] if isinstance(self.command, str) else self.command
        if not argv[0]:
            raise invalid("command", "names no program")
        return argv


class ExecOptions(CommandFields, forbid_unknown_fields=True, frozen=True):
    """What to run for exec, without its input."""

    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] | None = None

    def with_stdin(self, stdin: AsyncIterator[bytes] | None, commands: CommandSettings) -> Command:
        """Checks what the shape alone does not say and fills in the operator's defaults.

        Args:
            stdin: The command's input, in pieces; None for an empty one.
            commands: Default and bound of the time.

        Raises:
            InvalidRequest: A value breaks a rule; names the field.
        """
        timeout = self.timeout_seconds or commands.timeout_seconds
        if timeout > commands.max_timeout_seconds:
            raise invalid(
                "timeout_seconds", f"is larger than {commands.max_timeout_seconds}; run a job instead"
            )
        return Command(
            argv=self.argv(), timeout_seconds=timeout, stdin=stdin, workdir=self.workdir, env=self.env
        )


class ExecBody(ExecOptions, forbid_unknown_fields=True, frozen=True):
    """JSON body of ``POST /v1/sessions/{id}/exec``."""

    stdin: str | None = None
    stdin_base64: Base64 | None = None

    def to_command(self, commands: CommandSettings) -> Command:
        """The command, with the input that the body holds.

        Raises:
            InvalidRequest: A value breaks a rule; names the field.
        """
        given = _input(self.stdin, self.stdin_base64)
        return self.with_stdin(None if given is None else _once(given), commands)


class JobBody(CommandFields, forbid_unknown_fields=True, frozen=True):
    """JSON body of ``POST /v1/sessions/{id}/jobs``."""

    stdin: str | None = None
    stdin_base64: Base64 | None = None
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=MAX_SECONDS)] | None = None
    name: Name = ""

    def to_new_job(self, sessions: SessionSettings) -> NewJob:
        """Checks what the shape alone does not say.

        Args:
            sessions: The longest life of a session bounds the time.

        Raises:
            InvalidRequest: A value breaks a rule; names the field.
        """
        longest = sessions.max_ttl_seconds
        if self.timeout_seconds is not None and self.timeout_seconds > longest:
            raise invalid("timeout_seconds", f"is larger than {longest}, the longest life of a session")
        return NewJob(
            name=self.name,
            argv=self.argv(),
            command=self.command,
            env=self.env,
            workdir=self.workdir,
            stdin=_input(self.stdin, self.stdin_base64) or b"",
            timeout_seconds=self.timeout_seconds,
        )


def _input(text: str | None, encoded: str | None) -> bytes | None:
    """The command's input; None when none is given."""
    if text is not None and encoded is not None:
        raise invalid("stdin", "and stdin_base64 exclude each other")
    if text is not None:
        return text.encode()
    if encoded is None:
        return None
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid("stdin_base64", "is not base64") from error


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
