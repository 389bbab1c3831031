"""Credentials that nobody uses any more: an owner's who has gone, which would open his domain for ever.

They are used when a file is put or refreshed into a session, and while their owner has a session.
No use is noted for this: the Secret says when it was last changed, and the store when the owner's
sessions began and ended. A refresh is in the life of a session, so it is before the end of one.
"""

from __future__ import annotations

import asyncio
import random
from datetime import datetime, timedelta

from shared.core.audit.auditor import CLEANUP, Auditor
from shared.core.cleanup.guard import guarded
from shared.core.cleanup.ports import DueSessionStore, Inventory, KeptCredentials
from shared.core.cleanup.report import Action, Report
from shared.core.clock import Clock
from shared.core.turns import in_turns

_MOST = 2_000
"""Of so many owners a run asks the store."""

_AT_ONCE = 16
_ONE_SECONDS = 10.0


class UnusedCredentials:
    """Removes them.

    Args:
        store: Knows when owners had sessions.
        inventory: Knows the credentials.
        audit: Told of every act.
        clock: The time of day.
        retention: How long they are kept unused.
    """

    def __init__(
        self,
        *,
        store: DueSessionStore,
        inventory: Inventory,
        audit: Auditor,
        clock: Clock,
        retention: timedelta,
    ) -> None:
        self._store = store
        self._inventory = inventory
        self._audit = audit
        self._clock = clock
        self._retention = retention

    async def run(self, report: Report) -> None:
        """Goes through all credentials once.

        Args:
            report: Takes what became of those that are unused.
        """
        before = self._clock.now() - self._retention
        old = [
            kept
            async for kept in self._inventory.credentials()
            if kept.changed_at is not None and kept.changed_at <= before
        ]
        # Nobody remembers which were asked for last time: the same must not be first for ever.
        await in_turns(
            ((kept.owner, kept) for kept in random.sample(old, min(len(old), _MOST))),
            lambda kept: self._guarded(kept, before, report),
            at_once=_AT_ONCE,
            of_one_owner=1,
        )

    async def _guarded(self, kept: KeptCredentials, before: datetime, report: Report) -> None:
        until = asyncio.get_running_loop().time() + _ONE_SECONDS
        async with guarded(report, "credentials", kept.name, until):
            await self._one(kept, before, report)

    async def _one(self, kept: KeptCredentials, before: datetime, report: Report) -> None:
        use = await self._store.owner_use(kept.owner)
        if use.live or (use.at is not None and use.at > before):
            return
        because = f"unused for {self._retention.days} days"
        if not report.dry_run:
            # A session that is made at this very moment starts without them, and its document may name them.
            if not await self._inventory.delete_credentials(kept):
                return  # they were put anew meanwhile, or another run was faster
            await self._audit.record(
                None, CLEANUP, "credentials.expire", "deleted", name=kept.name, because=because
            )
        report.note("credentials", kept.name, Action.DELETED, because)
