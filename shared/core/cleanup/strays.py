"""Strays: objects in the cluster without a session, and sessions whose pods have ended or are gone."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

from shared.core.audit.auditor import CLEANUP, Auditor
from shared.core.cleanup.elsewhere import Elsewhere
from shared.core.cleanup.guard import guarded
from shared.core.cleanup.ports import Belonging, DueSessionStore, Inventory
from shared.core.cleanup.reconciliation import differences
from shared.core.cleanup.report import Action, Report
from shared.core.clock import Clock
from shared.core.clusters.installation import Installation, Neighbours, id_of, is_foreign
from shared.core.clusters.model import Sight
from shared.core.ids import is_session_id
from shared.core.jobs.service import JobService
from shared.core.sessions.access import SessionAccess
from shared.core.sessions.model import Session, SessionState
from shared.core.sessions.pod import PodPhase, PodStatus
from shared.core.sessions.ports import SessionStore
from shared.core.sessions.states import SessionStates
from shared.core.turns import in_turns

_AT_ONCE, _OF_ONE_OWNER = 16, 4
_ONE_SECONDS = 30.0


@dataclasses.dataclass(frozen=True, slots=True)
class _Work:
    """The work on one item.

    Attributes:
        owner: The item's owner, or the id of its session, for taking turns.
        kind: As in ``Decision``.
        name: As in ``Decision``.
        do: Does the work.
    """

    owner: str
    kind: str
    name: str
    do: Callable[[], Awaitable[None]]


class Strays:
    """Deletes orphans, and fails sessions whose pods have ended or are gone.

    Args:
        sessions: Keeps the sessions.
        due: Knows which sessions should be on the cluster.
        inventory: Knows what exists in the cluster.
        access: Asks a session's pod, on its own cluster.
        states: Moves sessions through their states.
        jobs: Notes that the jobs of a failed session are lost.
        elsewhere: Handles sessions on other clusters.
        audit: Records every act.
        clock: The time of day.
        grace: Minimum age of an orphan: the session of a younger object may just be being created.
        installation: Says which installation this is: only its own objects are looked at. None: all objects
            in the namespace are this one's.
        neighbours: Notes which other installations have objects in the namespace; None: nobody is told.
    """

    def __init__(
        self,
        *,
        sessions: SessionStore,
        due: DueSessionStore,
        inventory: Inventory,
        access: SessionAccess,
        states: SessionStates,
        jobs: JobService,
        elsewhere: Elsewhere,
        audit: Auditor,
        clock: Clock,
        grace: timedelta,
        installation: Installation | None,
        neighbours: Neighbours | None,
    ) -> None:
        self._installation = installation
        self._neighbours = neighbours
        self._sessions = sessions
        self._due = due
        self._inventory = inventory
        self._pods = access.pods
        self._states = states
        self._jobs = jobs
        self._elsewhere = elsewhere
        self._audit = audit
        self._clock = clock
        self._grace = grace

    async def run(self, report: Report, until: float) -> None:
        """Goes through the cluster once.

        Args:
            report: Gets the decision about each item.
            until: Time on the event loop's clock at which the work on the items must be over.
        """
        ended: list[Belonging] = []
        present: dict[str, Belonging] = {}
        own, others = await id_of(self._installation), set[str]()
        async for pod in self._inventory.pods():
            if is_foreign(pod.installation, own):
                others.add(pod.installation)
                continue
            over = pod.status is not None and pod.status.phase is PodPhase.FAILED
            if pod.leaving:
                continue  # mostly pods of sessions that ended a moment ago
            if over or not is_session_id(pod.session_id):
                ended.append(pod)
            else:
                present[pod.session_id] = pod
        found = await differences(list(present), self._due)
        secrets: list[Belonging] = []
        async for secret in self._inventory.secrets():
            if is_foreign(secret.installation, own):
                others.add(secret.installation)
            else:
                secrets.append(secret)
        async for kept in self._inventory.credentials():
            if is_foreign(kept.installation, own):
                others.add(kept.installation)
        if self._neighbours is not None and not report.dry_run:
            await self._neighbours.note(others)
        strangers = [present[session_id] for session_id in found.unknown]
        work = [
            *(_Work(one.session_id, "pod", one.name, partial(self._ended, one, report)) for one in ended),
            *(
                _Work(one.session_id, one.kind, one.name, partial(self._orphan, one, report))
                for one in [*strangers, *secrets]
            ),
            *(
                _Work(one.owner, "session", one.id, partial(self._missing, one, report))
                for one in found.missing
            ),
        ]
        random.shuffle(work)  # runs do not remember which failed: those must not always come first
        await in_turns(
            ((one.owner, one) for one in work),
            lambda one: self._guarded(one, report, until),
            at_once=_AT_ONCE,
            of_one_owner=_OF_ONE_OWNER,
        )

    async def _guarded(self, work: _Work, report: Report, until: float) -> None:
        until = min(until, asyncio.get_running_loop().time() + _ONE_SECONDS)
        async with guarded(report, work.kind, work.name, until, late="there was not enough time for it"):
            await work.do()

    async def _ended(self, pod: Belonging, report: Report) -> None:
        """Fails the session of a pod that has ended, with Kubernetes' reason, and deletes the pod."""
        session = await self._sessions.get(pod.session_id)
        if session is None or not session.live or session.pod_name != pod.name:
            await self._orphan(pod, report)
            return
        if (await self._pods.look(session)).sight is Sight.ELSEWHERE:
            # The session's own pod is another one; somebody may have created this pod from a copy.
            report.note("pod", pod.name, Action.LEFT, "its session is on another cluster")
            return
        # The list may be another cluster's: the connection may have been made anew since.
        status = await self._pods.status(session)
        if status.phase not in (PodPhase.FAILED, PodPhase.GONE):
            report.note("pod", pod.name, Action.LEFT, "its session's pod has not ended")
            return
        failed = await self._fail(session, status, report)
        if not report.dry_run:
            await self._inventory.delete(pod)
        if failed is not None:
            await self._jobs.conclude(failed)

    async def _missing(self, session: Session, report: Report) -> None:
        """Fails a session whose pod was not found, unless a new look shows that the session is all right.

        Its pod may have been created, or the session may have ended, since; or its cluster is another one.
        """
        if (await self._pods.look(session)).sight is Sight.ELSEWHERE:
            await self._elsewhere.leave(session, report)
            return
        current = await self._sessions.get(session.id)
        if current is None or current.state is not SessionState.RUNNING:
            return  # cleanup looks at it when it is due
        session = current
        status = await self._pods.status(session)
        if status.phase is PodPhase.UNSEEN:
            report.leave(session.id, f"{status.reason}: there is no pod of it here")
        if status.phase is PodPhase.GONE:
            failed = await self._fail(session, status, report)
            if failed is not None:
                await self._jobs.conclude(failed)

    async def _fail(self, session: Session, status: PodStatus, report: Report) -> Session | None:
        """Moves the session to failed. Returns the failed session; None if it has not become failed."""
        words = status.reason or "its pod has ended"
        if report.dry_run:
            report.note("session", session.id, Action.FAILED, words)
            return None
        session = await self._states.settle(session, status)
        if session.state is not SessionState.FAILED:
            return None
        await self._audit.record(session, CLEANUP, "session.fail", session.state)
        report.note("session", session.id, Action.FAILED, words)
        return session

    async def _orphan(self, belonging: Belonging, report: Report) -> None:
        if self._clock.now() - belonging.created_at < self._grace:
            return
        session = await self._sessions.get(belonging.session_id)
        if session is not None and (session.live or session.state is SessionState.DELETING):
            return  # created meanwhile, or being deleted; on another cluster: left
        if session is None and self._installation is not None and not belonging.installation:
            # Another installation, of an earlier release, may have its session.
            because = "nothing says which installation made it"
            report.note(belonging.kind, belonging.name, Action.LEFT, because)
            return
        if not report.dry_run:
            await self._inventory.delete(belonging)
            action = f"{belonging.kind}.delete"
            await self._audit.record(session, CLEANUP, action, "orphan", name=belonging.name)
        because = f"its session is {session.state}" if session else "there is no such session"
        report.note(belonging.kind, belonging.name, Action.DELETED, because)
