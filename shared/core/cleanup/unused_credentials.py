"""Removal of unused credentials: those of an owner who has left would give access to his domain for ever.

A use of credentials is to put a file, to refresh a session with them, or to have a session. No use is stored
for this: the Secret says when it was last changed, and the store says when the owner's sessions began
and ended. A refresh happens during a session, so the end of the session is a later use.
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
from shared.core.clusters.installation import Installation, id_of, is_foreign
from shared.core.turns import in_turns

_MOST = 2_000
"""Maximum number of owners about whom a run asks the store."""

_AT_ONCE = 16
_ONE_SECONDS = 10.0


class UnusedCredentials:
    """Removes unused credentials.

    Args:
        store: Knows when owners had sessions.
        inventory: Knows the credentials in the cluster.
        audit: Records every act.
        clock: The time of day.
        retention: How long unused credentials are kept.
        installation: Says which installation this is: only its own credentials are looked at.
    """

    def __init__(
        self,
        *,
        store: DueSessionStore,
        inventory: Inventory,
        audit: Auditor,
        clock: Clock,
        retention: timedelta,
        installation: Installation | None,
    ) -> None:
        self._installation = installation
        self._store = store
        self._inventory = inventory
        self._audit = audit
        self._clock = clock
        self._retention = retention

    async def run(self, report: Report) -> None:
        """Goes through all credentials once.

        Args:
            report: Gets the decision about each unused Secret.
        """
        before = self._clock.now() - self._retention
        own = await id_of(self._installation)
        old = [
            kept
            async for kept in self._inventory.credentials()
            if kept.changed_at is not None and kept.changed_at <= before
            if not is_foreign(kept.installation, own)
        ]
        # Runs do not remember which owners were asked about: the same must not always come first.
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
        if use.at is None and self._installation is not None and not kept.installation:
            # Another installation, of an earlier release, may have the owner's sessions.
            because = "nothing says which installation made it"
            report.note("credentials", kept.name, Action.LEFT, because)
            return
        because = f"unused for {self._retention.days} days"
        if not report.dry_run:
            # A session that is created at this moment starts without them, though its document may name them.
            if not await self._inventory.delete_credentials(kept):
                return  # a file was put meanwhile, or another run was faster
            await self._audit.record(
                None, CLEANUP, "credentials.expire", "deleted", name=kept.name, because=because
            )
        report.note("credentials", kept.name, Action.DELETED, because)
