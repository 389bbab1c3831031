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
    """Whether ``text`` could be a session id. What is not one does not exist."""
    return _SESSION_ID.fullmatch(text) is not None


def new_job_id() -> str:
    """A new job id: like a session's, but beginning with ``j``."""
    return "j" + new_session_id()[1:]


def is_job_id(text: str) -> bool:
    """Whether ``text`` could be a job id. What is not one does not exist."""
    return _JOB_ID.fullmatch(text) is not None


def new_record_id() -> str:
    """A new id of an audit record: like a session's, but beginning with ``a``."""
    return "a" + new_session_id()[1:]


def is_record_id(text: str) -> bool:
    """Whether ``text`` could be the id of an audit record."""
    return _RECORD_ID.fullmatch(text) is not None
