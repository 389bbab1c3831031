"""The pods of sessions, each on its session's cluster.

The absence of a pod is evidence only on the session's own cluster. So an answer that makes a session fail
or end counts only if the same connection leads to that cluster before and after the answer.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from shared.core.changes import changed
from shared.core.clusters.model import Look, Sight
from shared.core.clusters.ports import Clusters, ClusterView
from shared.core.sessions.model import Session
from shared.core.sessions.pod import PodPhase, PodStatus
from shared.core.sessions.ports import PodRuntime, SessionStore
from shared.errors import (
    ClusterNotKnown,
    ClusterUnavailable,
    GamguiError,
    NotFound,
    OnAnotherCluster,
)
from shared.reasons import Reason

NOT_KNOWN: Final = ClusterNotKnown.default_reason

_TRIES = 5
_UNSEEN = PodStatus(PodPhase.UNSEEN, NOT_KNOWN, NOT_KNOWN)


class SessionPods:
    """Asks the pods of sessions.

    Args:
        clusters: Returns the runtime of a session's cluster.
        view: Says which clusters this instance sees.
        store: Keeps the sessions.
    """

    def __init__(self, clusters: Clusters[PodRuntime], view: ClusterView, store: SessionStore) -> None:
        self._clusters = clusters
        self._view = view
        self._store = store

    async def of(self, session: Session) -> PodRuntime:
        """The runtime of the session's pod. It reports an absent pod even on a cluster that may be wrong.

        Raises:
            OnAnotherCluster: This instance does not see the session's cluster.
            ClusterUnavailable: The cluster does not answer.
        """
        return await self._clusters.of(session)

    async def look(self, session: Session) -> Look:
        """What this instance sees of the session's cluster."""
        return await self._view.look(session)

    async def create(self, session: Session) -> str:
        """Creates the pod; see ``PodRuntime.create``.

        Raises:
            OnAnotherCluster: This instance does not see the session's cluster, or no longer sees it after
                the call: then it is not known on which cluster the pod is.
        """
        position = await (await self.of(session)).create(session)
        await self._view.require_seen(session)
        return position

    async def status(self, session: Session) -> PodStatus:
        """The pod's status now; ``UNSEEN`` if there is no pod and this may not be the session's cluster.

        Raises:
            OnAnotherCluster: This instance does not see the session's cluster.
            ClusterUnavailable: The cluster does not answer.
        """
        return await self._status(session, None)

    async def wait_ready(self, session: Session, timeout_seconds: float, since: str) -> PodStatus:
        """Returns ``status`` as soon as the pod is ready, has failed or is gone, or the time is over."""
        return await self._status(session, (timeout_seconds, since))

    async def _status(self, session: Session, wait: tuple[float, str] | None) -> PodStatus:
        for _ in range(_TRIES):
            before = await self._view.require_seen(session)
            runtime = await self.of(session)
            status = await (runtime.status(session) if wait is None else runtime.wait_ready(session, *wait))
            if status.phase not in (PodPhase.GONE, PodPhase.FAILED):
                return status
            after = await self._view.require_seen(session)
            if after.connection is before.connection:
                here = after.sight is Sight.HERE or status.phase is PodPhase.FAILED
                return status if here else _UNSEEN
        raise _renewed(session)

    async def delete(self, session: Session, timeout_seconds: float) -> bool:
        """Deletes the pod; see ``PodRuntime.delete``.

        Returns:
            Whether the pod is gone from the session's own cluster, or from the cluster where it was found.

        Raises:
            OnAnotherCluster: This instance does not see the session's cluster.
            ClusterUnavailable: The cluster does not answer.
            ClusterNotKnown: There is no such pod, and it is not known whether this is the session's cluster.
        """
        for _ in range(_TRIES):
            before = await self._view.require_seen(session)
            runtime = await self.of(session)
            known = before.sight is Sight.HERE
            if not known:
                session, status = await self.met(session)
                known = status.phase not in (PodPhase.GONE, PodPhase.UNSEEN)
            if known and not await runtime.delete(session, timeout_seconds):
                return False
            after = await self._view.require_seen(session)
            if after.connection is before.connection:
                if not known:
                    raise not_known(session)
                return True
        raise _renewed(session)

    async def met(self, session: Session) -> tuple[Session, PodStatus]:
        """Returns the session and its pod's status; if the pod exists, the session's cluster is stored.

        A session without a stored cluster identity was created by an earlier release, or when the cluster's
        identity could not be read.
        """
        for _ in range(_TRIES):
            before = await self._view.look(session)
            status = await self.status(session)
            if session.cluster_identity or status.phase in (PodPhase.GONE, PodPhase.UNSEEN):
                return session, status
            after = await self._view.look(session)
            if after.connection is not before.connection:
                continue
            return await self._taken_over(session, after.identity), status
        raise _renewed(session)

    async def usable(self, session: Session) -> Session:
        """The session, for work in its pod.

        Raises:
            OnAnotherCluster: This instance does not see the session's cluster.
            ClusterUnavailable: The cluster does not answer.
            ClusterNotKnown: There is no such pod, and it is not known whether this is the session's cluster.
        """
        look = await self._view.require_seen(session)
        if look.sight is Sight.HERE:
            return session
        session, status = await self.met(session)
        if status.phase is PodPhase.UNSEEN:
            raise not_known(session)
        return session

    async def shown(self, session: Session) -> tuple[Session, PodStatus | None]:
        """The result of ``met``, for a caller who only looks at the session.

        Returns:
            The session and the pod's status. When the pod cannot be asked, the status is None and the
            session's ``reason`` says why; that reason is not stored.
        """
        try:
            session, status = await self.met(session)
        except OnAnotherCluster as error:
            return dataclasses.replace(session, reason=error.reason), None
        if status.phase is PodPhase.UNSEEN:
            return dataclasses.replace(session, reason=NOT_KNOWN), None
        return session, status

    async def require_not_elsewhere(self, session: Session) -> None:
        """Refuses a live session whose cluster this instance does not see.

        A cluster that does not answer is no reason to refuse: it may be the session's own.

        Raises:
            OnAnotherCluster: This instance does not see the session's cluster.
        """
        if not session.live:
            return
        try:
            await self._view.require_seen(session)
        except OnAnotherCluster:
            raise
        except GamguiError:
            return

    async def _taken_over(self, session: Session, identity: str) -> Session:
        """Stores which cluster has the session's pod, unless that is stored already."""

        async def read() -> Session:
            current = await self._store.get(session.id)
            if current is None:
                raise NotFound("there is no such session", reason=Reason.SESSION_NOT_FOUND)
            return current

        async def take_over(current: Session) -> Session:
            if current.cluster_identity or not identity:
                return current
            found = dataclasses.replace(current, connection=current.connection_id, cluster_identity=identity)
            return await self._store.update(found)

        return await changed(read, take_over, first=session, busy="the session is", session=session.id)


def left_of(session: Session) -> tuple[str, ...]:
    """What may be left of a session on a cluster that nobody sees: its pod and its owner's credentials."""
    pod = f"pod/{session.pod_name}"
    return (pod, f"secret/{session.secret_name}") if session.credentials else (pod,)


def not_known(session: Session) -> ClusterNotKnown:
    """The error for a session without a pod here, when it is not known on which cluster the session is."""
    return ClusterNotKnown(
        "the cluster that this service is connected to has no pod of the session, and it was not noted on "
        "which cluster the session is",
        session=session.id,
    )


def _renewed(session: Session) -> ClusterUnavailable:
    return ClusterUnavailable(
        "the connection to the cluster was made anew meanwhile: try again", session=session.id
    )
