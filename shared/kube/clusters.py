"""Which cluster is behind a connection: the adapter behind ``Cluster``.

A cluster has no name of its own. The uid of its namespace ``kube-system`` stands for it; where that
namespace may not be read, the uid of the sessions' namespace does.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import re
from datetime import timedelta

from shared.core.changes import changed
from shared.core.clock import Clock
from shared.core.clusters.model import ClusterIdentity, KnownConnection, Look
from shared.core.clusters.ports import ConnectionStore
from shared.errors import ClusterUnavailable
from shared.kube.api.client import KubeApi
from shared.kube.api.connection import Connection
from shared.kube.api.errors import ApiError

log = logging.getLogger(__name__)

_UID = re.compile(r"[0-9A-Za-z-]{1,64}")
_NOT_READABLE = (403, 404)
_TRIES = 8
_NOTED_AGAIN = timedelta(days=1)
"""A process that connects brings the document's time up to date when it is older than this."""

_ASKED_AGAIN_SECONDS = 60.0
"""When to ask again if neither namespace may be read: somebody may just be about to allow it."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Met:
    """What was learned of the cluster behind one connection. ``asked_at`` is the event loop's time."""

    connection: Connection
    identity: ClusterIdentity
    met: tuple[ClusterIdentity, ...]
    asked_at: float

    def stands(self, connection: Connection, now: float) -> bool:
        """Whether this still holds for the connection, so that the cluster need not be asked again."""
        lasts = bool(self.identity.texts) or now < self.asked_at + _ASKED_AGAIN_SECONDS
        return self.connection is connection and lasts


class KubernetesCluster:
    """Asks a cluster who it is, once per connection. Belongs to one event loop.

    Args:
        connection_id: Id of the connection that ``api`` has.
        api: The cluster.
        namespace: Namespace of the sessions.
        connections: Stores the identities that were met: for processes without rights in the cluster,
            and for the time when other rights show another uid of the same cluster.
        clock: The time of day.
    """

    def __init__(
        self, connection_id: str, api: KubeApi, namespace: str, connections: ConnectionStore, clock: Clock
    ) -> None:
        self._id = connection_id
        self._api = api
        self._namespace = namespace
        self._connections = connections
        self._clock = clock
        self._known: _Met | None = None
        self._asking: tuple[Connection, asyncio.Task[_Met]] | None = None
        self._tasks: set[asyncio.Task[_Met]] = set()  # those too that ask over an earlier connection

    async def look(self, recorded: str) -> Look:
        """See ``Cluster``."""
        met = await self._met()
        return Look(met.identity.sight(recorded, met.met), met.identity.text, met.connection)

    async def close(self) -> None:
        """Stops asking."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _met(self) -> _Met:
        connection = await self._api.connection()
        now = asyncio.get_running_loop().time()
        if self._known is not None and self._known.stands(connection, now):
            return self._known
        if self._asking is None or self._asking[0] is not connection:
            task = asyncio.create_task(self._ask(connection))
            self._asking = (connection, task)
            self._tasks.add(task)
            task.add_done_callback(self._asked)
        # The caller that asked first may go away; the others still wait for the answer.
        self._known = await asyncio.shield(self._asking[1])
        return self._known

    async def _ask(self, connection: Connection) -> _Met:
        asked_at = asyncio.get_running_loop().time()
        # Both are asked, though one would do: with both known, one right can be lost without harm.
        asking = (self._uid("kube-system"), self._uid(self._namespace))
        uids: list[str] = []
        for answer in await asyncio.gather(*asking, return_exceptions=True):  # neither outlives the other
            if isinstance(answer, BaseException):
                raise answer
            uids.append(answer)
        if await self._api.connection() is not connection:
            raise ClusterUnavailable("the connection to the cluster was made anew meanwhile: try again")
        identity = ClusterIdentity(kube_system=uids[0], namespace=uids[1])
        met = await self._noted(connection.cluster, identity) if identity.texts else ()
        if not identity.texts:
            log.warning("neither of the namespaces kube-system and %s may be read", self._namespace)
        return _Met(connection, identity, met, asked_at)

    async def _uid(self, namespace: str) -> str:
        try:
            found = await self._api.request("GET", f"/api/v1/namespaces/{namespace}")
        except ApiError as error:
            if error.code in _NOT_READABLE:
                return ""
            raise
        metadata = found.get("metadata")
        uid = metadata.get("uid") if isinstance(metadata, dict) else None
        if not isinstance(uid, str) or not _UID.fullmatch(uid):
            raise ClusterUnavailable("the Kubernetes API answered a namespace without a uid")
        return uid

    async def _noted(self, cluster: str, identity: ClusterIdentity) -> tuple[ClusterIdentity, ...]:
        """Notes the cluster in the connection's document; returns all identities that it ever met."""

        async def note(known: KnownConnection | None) -> tuple[ClusterIdentity, ...]:
            now = self._clock.now()
            if known is not None and known.met[:1] == (identity,) and now - known.met_at < _NOTED_AGAIN:
                return known.met
            known = known or KnownConnection(id=self._id, cluster=cluster, met=(), met_at=now)
            return (await self._connections.put(known.meeting(cluster, identity, now))).met

        busy = "the connection's document is"
        return await changed(lambda: self._connections.get(self._id), note, tries=_TRIES, busy=busy)

    def _asked(self, task: asyncio.Task[_Met]) -> None:
        self._tasks.discard(task)
        if self._asking is not None and self._asking[1] is task:
            self._asking = None
        if not task.cancelled():
            task.exception()  # marks the exception as seen, in case every waiter is gone
