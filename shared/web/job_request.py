"""The body of a request that starts a job."""

from __future__ import annotations

from typing import Annotated

import msgspec

from shared.audit.masking import masked, masked_words
from shared.errors import InvalidRequest
from shared.sessions.job import NewJob
from shared.settings import Settings
from shared.web.schemas import ExecBody, Name, decode


def read_job(body: bytes, settings: Settings) -> NewJob:
    """Reads the body of ``POST /v1/sessions/{id}/jobs``; see ``decode`` and ``to_new_job``."""
    return decode(body, JobBody).to_new_job(settings)


class JobBody(ExecBody, forbid_unknown_fields=True, frozen=True):
    """Body of ``POST /v1/sessions/{id}/jobs``: a command, whose time has no limit of its own."""

    timeout_seconds: Annotated[float, msgspec.Meta(gt=0)] | None = None
    name: Name = ""

    def to_new_job(self, settings: Settings) -> NewJob:
        """Checks what the shape alone does not say.

        Raises:
            InvalidRequest: A value breaks a rule; names the field.
        """
        longest = settings.max_ttl_seconds
        if self.timeout_seconds is not None and self.timeout_seconds > longest:
            raise InvalidRequest(
                f"timeout_seconds is larger than {longest}, the longest life of a session",
                reason="INVALID_FIELD",
                field="timeout_seconds",
            )
        shown = masked(self.command) if isinstance(self.command, str) else masked_words(self.command)
        return NewJob(
            name=self.name,
            argv=self.argv(),
            command=shown,
            env=self.env,
            workdir=self.workdir,
            stdin=self.input() or b"",
            timeout_seconds=self.timeout_seconds,
        )
