"""Random ids: of sessions, jobs and audit records."""

from __future__ import annotations

import base64
import re
import secrets

_SESSION_ID = re.compile(r"s[a-z2-7]{16}")
_RECORD_ID = re.compile(r"a[a-z2-7]{16}")
_JOB_ID = re.compile(r"j[a-z2-7]{16}")


def new_session_id() -> str:
    """A new session id: a DNS label of 17 characters with 80 random bits, never sequential."""
    return "s" + base64.b32encode(secrets.token_bytes(10)).decode().lower()


def is_session_id(text: str) -> bool:
    """Whether ``text`` has the form of a session id. No session has an id of another form."""
    return _SESSION_ID.fullmatch(text) is not None


def new_job_id() -> str:
    """A new job id: like a session id, but with ``j`` as the first letter."""
    return "j" + new_session_id()[1:]


def is_job_id(text: str) -> bool:
    """Whether ``text`` has the form of a job id. No job has an id of another form."""
    return _JOB_ID.fullmatch(text) is not None


def new_record_id() -> str:
    """A new audit record id: like a session id, but with ``a`` as the first letter."""
    return "a" + new_session_id()[1:]


def is_record_id(text: str) -> bool:
    """Whether ``text`` has the form of an audit record id."""
    return _RECORD_ID.fullmatch(text) is not None
