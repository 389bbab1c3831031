"""The use cases of sessions: create, get, list, delete, run a command.

Order of writes on create: first the document (pending, with the pod's name), then the pod, then the
document again (running). A crash between any two of them leaves a document from which cleanup finishes
or undoes the work.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import timedelta

from shared.core import ids
from shared.core.audit.auditor import Auditor
from shared.core.clock import Clock
from shared.core.clusters.model import VIRTUAL
from shared.core.commands import Command, ExecEvent, ExecResult, Exit
from shared.core.paging import Cursor
from shared.core.person import Person
from shared.core.sessions import names, variables
from shared.core.sessions.access import AS_ADMINISTRATOR, EVERYBODY, SessionAccess
from shared.core.sessions.concurrency import ExecSlots, StreamKind
from shared.core.sessions.deletion import SessionDeletion
from shared.core.sessions.model import Session, SessionState
from shared.core.sessions.new_session import NewSession
from shared.core.sessions.ports import (
    MountedCredentials,
    PodRuntime,
    SessionCredentials,
    SessionJobs,
    SessionStore,
)
from shared.core.sessions.share import OwnerShare
from shared.core.sessions.states import SessionStates
from shared.errors import Conflict, GamguiError, OnAnotherCluster, SessionStartFailed
from shared.reasons import Reason

log = logging.getLogger(__name__)

_UNDO_SECONDS = 3.0


class SessionService(SessionDeletion):
    """Everything that callers do to sessions. To a caller, other people's sessions do not exist.

    Args:
        store: Keeps the sessions.
        places: Where new sessions may be: ids of connections, in order of preference, each with the runtime
            of its pods. A place that does not answer is skipped, except the last one.
        access: Finds a caller's sessions.
        states: Moves sessions through their states.
        jobs: Notes how the jobs of a deleted session end.
        credentials: Says which credentials a new session at the first of ``places`` gets.
        clock: The time of day.
        audit: Records every act.
        namespace: Namespace of new pods.
        slots: Limits the commands at once in one session.
        limit: Maximum number of live sessions of one owner.
        share: Most that the live sessions of one owner may have; None: only ``limit`` bounds them.
        disk_bytes: Bytes of disk that the pod of a new session may take; None: not known.
    """

    def __init__(
        self,
        *,
        store: SessionStore,
        places: Mapping[str, PodRuntime],
        access: SessionAccess,
        states: SessionStates,
        jobs: SessionJobs,
        credentials: SessionCredentials,
        clock: Clock,
        audit: Auditor,
        namespace: str,
        slots: ExecSlots,
        limit: int,
        share: OwnerShare | None = None,
        disk_bytes: int | None = None,
    ) -> None:
        super().__init__(access=access, states=states, jobs=jobs, audit=audit)
        self._store = store
        self._places = places
        self._clock = clock
        self._credentials = credentials
        self._namespace = namespace
        self._slots = slots
        self._limit = limit
        self._share = share
        self._disk_bytes = disk_bytes

    async def create(self, owner: Person, new: NewSession, session_id: str | None = None) -> Session:
        """Creates a session and waits until its pod is ready.

        Args:
            owner: The caller.
            new: The session that the caller asks for.
            session_id: The session's id, when a repeated request goes on with an earlier request's; None:
                a new id.

        Returns:
            The session: running, or pending when it is not ready after ``new.wait_seconds``.

        Raises:
            SessionStartFailed: Kubernetes says that the pod cannot start.
            TooManyRequests: The owner has as many sessions as he may have, or his share or the namespace's
                quota is used up.
            ClusterUnavailable: The cluster is not reached; nothing is left behind.
            OnAnotherCluster: An earlier request created the session on a cluster that this instance does
                not see now.
            Conflict: The session was deleted meanwhile.
        """
        try:
            session = await self._document(
                owner, new, session_id or ids.new_session_id(), await self._place()
            )
        except GamguiError as error:
            await self._audit.record(None, owner, "session.create", error.reason)
            raise
        try:
            if session.state is SessionState.FAILED:
                raise SessionStartFailed(session.reason or "the pod cannot start", session=session.id)
            if session.state is not SessionState.PENDING:
                # The request that created it may have died before it wrote the audit record.
                await self._audit.record(session, owner, "session.create", session.state)
                return session
            position = await self._pods.create(session)
            status = await self._pods.wait_ready(session, new.wait_seconds, position)
            session = await self._states.settle(session, status)
        except GamguiError as error:
            if not isinstance(error, OnAnotherCluster):  # its state there is not known here
                await self._fail(session, error)
            await self._audit.record(session, owner, "session.create", error.reason)
            raise
        await self._audit.record(session, owner, "session.create", session.state)
        if session.state in (SessionState.PENDING, SessionState.RUNNING):
            return session
        with contextlib.suppress(GamguiError):
            await self._pods.delete(session, 0)
        if session.state is SessionState.FAILED:
            raise SessionStartFailed(
                session.reason or "the pod cannot start",
                reason=status.code,
                session=session.id,
                state=session.state,
            )
        # The delete request may have looked for the pod before the pod was created.
        raise Conflict(
            "the session was deleted while it started", reason=Reason.SESSION_DELETED, session=session.id
        )

    async def get(self, caller: Person, session_id: str) -> Session:
        """The session with its pod's current status, for its owner or an administrator.

        Raises:
            NotFound: The session is absent, or another owner's and the caller is no administrator.
        """
        session = await self._access.visible(caller, session_id)
        if not session.of(caller):
            await self._audit.record(session, caller, "session.get", "read", **AS_ADMINISTRATOR)
        return await self._access.observed(session)

    async def list_sessions(
        self, caller: Person, *, owner: str, state: SessionState | None, limit: int, after: Cursor | None
    ) -> tuple[Sequence[Session], Cursor | None]:
        """A page of an owner's sessions, newest first, and where the next page begins.

        Args:
            caller: The caller.
            owner: E-mail address of the sessions' owner: the caller's own; for an administrator also
                another person's, or ``EVERYBODY``.
            state: Only sessions in this state; None: in any state.
            limit: Maximum number of sessions.
            after: Where the previous page ended; None: the first page.

        Returns:
            At most ``limit`` sessions, and the cursor for the next page; None when there are no more.

        Raises:
            PermissionDenied: The caller is no administrator.
        """
        self._access.require_list(caller, owner)
        if owner != caller.email:
            await self._audit.record(None, caller, "session.list", "read", owner=owner, **AS_ADMINISTRATOR)
        whose = None if owner == EVERYBODY else owner
        found = await self._store.list_sessions(whose, state=state, limit=limit + 1, after=after)
        page = found[:limit]
        more = len(found) > limit
        seen = [session for session in page if self._access.shown(session, caller)]
        return seen, Cursor(page[-1].created_at, page[-1].id) if more else None

    async def execute(
        self, owner: Person, session_id: str, command: Command
    ) -> AsyncGenerator[ExecEvent, None]:
        """Runs a command in the session.

        Yields:
            The command's events; the last one is an ``Exit``.

        Raises:
            NotFound: The session is absent, another owner's, or without a running pod.
            Conflict: The session is not running.
            InvalidRequest: The command is too long.
            TooManyRequests: Too many commands of the owner, or in the session, run already.
        """
        session = await self._access.running(owner, session_id)
        variables.require_room(command.argv, command.workdir, command.env)
        evidence = await self._audit.evidence()
        detail = evidence.of_command(command.argv, command.env)
        command = dataclasses.replace(command, env=variables.of_command(session.env, command.env))
        if command.stdin is not None:
            command = dataclasses.replace(command, stdin=evidence.metered(command.stdin))
        async with self._access.used(session), self._audit.act(session, owner, "session.exec", detail) as act:
            act.outcome = ExecResult.UNKNOWN
            with self._access.streams.taken(owner.email, StreamKind.COMMAND), self._slots.taken(session.id):
                act.announce()
                running = (await self._pods.of(session)).execute(session, command)
                try:
                    async with contextlib.aclosing(running) as events:
                        async for event in events:
                            if isinstance(event, Exit):
                                act.detail |= {**evidence.of_input(), "exit_code": event.exit_code}
                                act.detail |= {"left_running": True} if event.left_running else {}
                                await act.end(event.result)
                            yield event
                finally:
                    act.detail |= evidence.of_input()

    async def _place(self) -> str:
        """The id of the connection by which a new session is created."""
        *preferred, last = self._places
        for connection in preferred:
            try:
                await self._places[connection].ping()  # connect() alone does not show that it answers
            except GamguiError:
                log.warning(
                    "no cluster is reachable: SESSION_FALLBACK makes a virtual session", exc_info=True
                )
            else:
                return connection
        return last

    async def _document(self, owner: Person, new: NewSession, session_id: str, connection: str) -> Session:
        now = self._clock.now()
        info = await self._places[connection].connect()
        # A virtual session that stands in for a session on a cluster has none: the files are on the cluster.
        first = connection == next(iter(self._places))
        has = await self._credentials.mounted(owner, new.credentials) if first else MountedCredentials()
        session = Session(
            id=session_id,
            owner=owner.email,
            subject=owner.subject,
            name=new.name or session_id,
            state=SessionState.PENDING,
            image=new.image,
            resources=new.resources,
            labels=new.labels,
            cluster=info.cluster,
            namespace=self._namespace,
            pod_name=names.pod_name(session_id),
            created_at=now,
            last_used_at=now,
            expires_at=now + timedelta(seconds=new.ttl_seconds),
            idle_seconds=new.idle_seconds,
            virtual=connection == VIRTUAL,
            connection=connection,
            credentials=has.files,
            credentials_secret=has.secret,
            credentials_choice=new.credentials,
            env=new.env,
            disk_bytes=self._disk_bytes,
        )
        session = dataclasses.replace(session, cluster_identity=(await self._pods.look(session)).identity)
        try:
            return await self._store.create(session, limit=self._limit, share=self._share)
        except Conflict:
            existing = await self._store.get(session_id)
            if existing is None or not existing.of(owner):
                raise
            return existing

    async def _fail(self, session: Session, error: GamguiError) -> None:
        """After a failed create: fails the session and deletes the pod, as far as both can be reached."""
        with contextlib.suppress(GamguiError):
            await self._states.move(session, SessionState.FAILED, f"{error.reason}: {error.detail}")
        with contextlib.suppress(GamguiError, TimeoutError):
            async with asyncio.timeout(_UNDO_SECONDS):
                await self._pods.delete(session, 0)
