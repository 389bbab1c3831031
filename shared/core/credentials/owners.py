"""The use cases of administrators when an e-mail address gets another holder.

Sessions and credentials that were created under the address belong to the first holder until an
administrator calls one of these. Each call can be repeated, and goes on where an earlier call broke off.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from shared.core.audit.auditor import Auditor
from shared.core.changes import changed
from shared.core.credentials.ports import CredentialStore
from shared.core.credentials.service import BUSY, TRIES
from shared.core.paging import Cursor
from shared.core.person import Person
from shared.core.sessions.access import AS_ADMINISTRATOR, SessionAccess
from shared.core.sessions.model import Session
from shared.core.sessions.ports import SessionStore
from shared.core.turns import in_turns
from shared.errors import GamguiError

_T = TypeVar("_T")

_PAGE = 100
_AT_ONCE = 16
_MOST = 500
"""Maximum number of sessions that one call passes on."""


@dataclasses.dataclass(frozen=True, slots=True)
class PassedOn:
    """What one call has passed on.

    Attributes:
        sessions: Number of sessions.
        credentials: Names of the credential files.
        complete: Nothing is left. If False, the administrator must repeat the call.
    """

    sessions: int
    credentials: Sequence[str]
    complete: bool


class OwnerService:
    """Removes the credentials of an e-mail address, or passes its credentials and sessions on.

    Args:
        store: Keeps the sessions.
        credentials: Keeps the credentials.
        access: Knows the administrators.
        audit: Records every act.
    """

    def __init__(
        self, *, store: SessionStore, credentials: CredentialStore, access: SessionAccess, audit: Auditor
    ) -> None:
        self._store = store
        self._credentials = credentials
        self._access = access
        self._audit = audit

    async def remove_credentials(self, caller: Person, email: str) -> Sequence[str]:
        """Removes all credential files of an address, regardless of their owner; sessions keep their copies.

        Args:
            caller: The caller.
            email: The address, lower case.

        Returns:
            Names of the removed files.

        Raises:
            PermissionDenied: The caller is no administrator (reason ``NOT_AN_ADMINISTRATOR``).
            VersionConflict: Too many others change the credentials.
        """
        self._access.require_administrator(caller)
        detail = {"owner": email, "file": "all", **AS_ADMINISTRATOR}
        async with self._audit.act(None, caller, "credentials.delete", detail) as act:
            removed = await _tried(lambda: self._credentials.remove(email))
            act.detail["files"] = " ".join(removed)
        return removed

    async def rebind(self, caller: Person, email: str, subject: str) -> PassedOn:
        """Passes sessions and credentials of an address on to the person who has the address now.

        Args:
            caller: The caller.
            email: The address, lower case.
            subject: ``Person.subject`` of that person.

        Returns:
            What was passed on.

        Raises:
            PermissionDenied: The caller is no administrator (reason ``NOT_AN_ADMINISTRATOR``).
            VersionConflict: Too many others change the credentials, and nothing was passed on; or too many
                others change a session, and the other sessions were passed on.
        """
        self._access.require_administrator(caller)
        detail = {"owner": email, "subject": subject, **AS_ADMINISTRATOR}
        async with self._audit.act(None, caller, "owner.rebind", detail) as act:
            files = await _tried(lambda: self._credentials.rebind(email, subject))
            act.detail["files"] = " ".join(files)
            found, complete = await self._others(email, subject)
            passed: list[str] = []
            errors: list[GamguiError] = []

            async def pass_on(session: Session) -> None:
                try:
                    if await self._pass_on(caller, session, subject):
                        passed.append(session.id)
                except GamguiError as error:
                    errors.append(error)  # the other sessions are still passed on

            await in_turns(
                ((session.id, session) for session in found), pass_on, at_once=_AT_ONCE, of_one_owner=1
            )
            act.detail["sessions"] = len(passed)
            if errors:
                raise errors[0]
            return PassedOn(len(passed), files, complete)

    async def _others(self, email: str, subject: str) -> tuple[list[Session], bool]:
        """At most ``_MOST`` sessions of the address that are not this person's, and whether these are all."""
        found: list[Session] = []
        after: Cursor | None = None
        while True:
            page = await self._store.list_sessions(email, state=None, limit=_PAGE, after=after)
            found += [session for session in page if session.subject != subject]
            if len(found) > _MOST:
                return found[:_MOST], False
            if len(page) < _PAGE:
                return found, True
            after = Cursor(page[-1].created_at, page[-1].id)

    async def _pass_on(self, caller: Person, session: Session, subject: str) -> bool:
        """Passes the session on to the person; returns whether this call changed it."""

        async def pass_on(current: Session | None) -> bool:
            if current is None or current.subject == subject:
                return False
            passed = await self._store.update(dataclasses.replace(current, subject=subject))
            await self._audit.record(
                passed, caller, "owner.rebind", "done", subject=subject, **AS_ADMINISTRATOR
            )
            return True

        return await changed(
            lambda: self._store.get(session.id),  # listed sessions are incomplete
            pass_on,
            tries=TRIES,
            busy="a session is",
            session=session.id,
        )


async def _tried(change: Callable[[], Awaitable[_T]]) -> _T:
    """Runs a change that reads by itself, and repeats it when another writer was faster."""

    async def nothing() -> None:
        return None

    return await changed(nothing, lambda _: change(), tries=TRIES, busy=BUSY)
