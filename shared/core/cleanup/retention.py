"""Removal of what is no longer kept: ended sessions with what belongs to them, and idempotency records."""

from __future__ import annotations

import asyncio

from shared.core.cleanup.guard import guarded
from shared.core.cleanup.ports import CleanupStores
from shared.core.cleanup.report import Action, Report
from shared.core.clock import Clock
from shared.core.paging import Cursor
from shared.core.sessions.model import Session
from shared.core.sessions.ports import RequestRecord
from shared.core.turns import in_turns
from shared.errors import GamguiError

_PAGE = 100
_MOST = 2_000
"""Maximum number of sessions that a run forgets, rounded up to a page."""

_AT_ONCE, _OF_ONE_OWNER = 16, 4
_ONE_SECONDS = 10.0
"""Longest time for one session. A session with very many jobs or records is forgotten in several runs."""


class Old:
    """Removes what is old. An item that cannot be removed is left and reported; it holds up no other item.

    Args:
        stores: The stores from which it removes.
        clock: The time of day.
    """

    def __init__(self, *, stores: CleanupStores, clock: Clock) -> None:
        self._stores = stores
        self._clock = clock

    async def run(self, report: Report) -> None:
        """Removes what is old. Each item is tried once.

        Args:
            report: Gets the counts, and the sessions that are left.
        """
        sessions = await self._sessions()
        await in_turns(
            ((session.owner, session) for session in sessions),
            lambda session: self._session(session, report),
            at_once=_AT_ONCE,
            of_one_owner=_OF_ONE_OWNER,
        )
        now, after = self._clock.now(), None
        while True:
            page = await self._stores.requests.expired_requests(now, limit=_PAGE, after=after)
            await asyncio.gather(*(self._request(record, report) for record in page))
            if len(page) < _PAGE:
                return
            after = Cursor(page[-1].expires_at, page[-1].key)

    async def _sessions(self) -> list[Session]:
        now, after = self._clock.now(), None
        found: list[Session] = []
        while True:
            page = await self._stores.due.forgettable_sessions(now, limit=_PAGE, after=after)
            found += page
            if len(page) < _PAGE or len(found) >= _MOST:
                return found
            last = page[-1]
            assert last.purge_at is not None  # the query selects by it
            after = Cursor(last.purge_at, last.id)

    async def _session(self, session: Session, report: Report) -> None:
        """Removes a session after all that belongs to it, so that a later run finds it if this one fails."""
        until = asyncio.get_running_loop().time() + _ONE_SECONDS
        async with guarded(report, "session", session.id, until, late="the next run forgets the rest of it"):
            await self._jobs(session)
            while await self._stores.audit.forget(session.id, limit=_PAGE):
                pass
            await self._stores.due.remove_session(session)
            report.add("session", Action.FORGOTTEN)

    async def _jobs(self, session: Session) -> None:
        after: Cursor | None = None
        while page := await self._stores.jobs.list_jobs(session.id, limit=_PAGE, after=after):
            for job in page:
                await self._stores.jobs.remove_job(job)
            after = Cursor(page[-1].created_at, page[-1].id)

    async def _request(self, record: RequestRecord, report: Report) -> None:
        try:
            await self._stores.requests.remove_request(record)
        except GamguiError:
            report.add("request", Action.LEFT)
        else:
            report.add("request", Action.FORGOTTEN)
