"""Reads whose things an administrator removes or passes on, and makes JSON of what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from shared.core.credentials.owners import PassedOn
from shared.identity.claims import email_address, known_subject
from shared.web.http.schemas import decode, invalid


class RebindBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Body of the request: the person who has the address now."""

    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=330)]


def owner_of(params: Mapping[str, str]) -> str:
    """The e-mail address in the path, in the form that identities have.

    Raises:
        InvalidRequest: It is not an e-mail address (reason ``INVALID_FIELD``).
    """
    email = email_address(params["email"])
    if email is None:
        raise invalid("email", "is no e-mail address")
    return email


def subject_of(body: bytes) -> str:
    """The subject of the person in the body, in the normal form.

    Raises:
        InvalidRequest: The body does not have the right shape, or nobody can have this subject.
    """
    subject = known_subject(decode(body, RebindBody).subject)
    if subject is None:
        raise invalid("subject", "is none, such as google:42 or dev:ann@example.com")
    return subject


def removed_json(owner: str, removed: Sequence[str]) -> dict[str, Any]:
    """Which credential files are gone."""
    return {"owner": owner, "removed": list(removed)}


def passed_on_json(owner: str, subject: str, passed_on: PassedOn) -> dict[str, Any]:
    """What was passed on to whom."""
    return {
        "owner": owner,
        "subject": subject,
        "sessions": passed_on.sessions,
        "credentials": list(passed_on.credentials),
        "complete": passed_on.complete,
    }
