"""Builds the use cases of sessions, access to sessions, and their states."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from shared.core.clusters.model import DEFAULT, VIRTUAL

if TYPE_CHECKING:
    from shared.app.composition import App
    from shared.core.sessions.access import SessionAccess
    from shared.core.sessions.concurrency import Streams
    from shared.core.sessions.idempotency import IdempotentRequests
    from shared.core.sessions.ports import PodRuntime
    from shared.core.sessions.service import SessionService
    from shared.core.sessions.share import OwnerShare
    from shared.core.sessions.states import SessionStates
    from shared.core.sessions.update import SessionUpdate

_MOST_DAYS = 36_500
"""A century is as good as for ever, and a longer time would pass the end of Python's calendar."""


_DESCRIPTORS_OF_STREAM = 3
"""The caller's connection, the WebSocket to the pod, and one more while it is connected."""

_OTHER_DESCRIPTORS = 100
"""Descriptors for the store, the API server, the log and the program's own files."""


def retention(days: int) -> timedelta:
    """How long to keep something that the operator wants to keep for this many days; at most a century."""
    return timedelta(days=min(days, _MOST_DAYS))


def access(app: App) -> SessionAccess:
    """Finds callers' sessions."""
    from shared.app.cluster import each
    from shared.core.sessions.access import SessionAccess
    from shared.core.sessions.pods import SessionPods
    from shared.identity.claims import lowered

    return SessionAccess(
        store=app.store.sessions,
        pods=SessionPods(each(app, app.runtime, app.virtual), app.clusters, app.store.sessions),
        states=app.states,
        clock=app.clock,
        audit=app.auditor,
        administrators=[lowered(email) for email in app.settings.access.admin_emails],
        streams=streams(app),
    )


def streams(app: App) -> Streams:
    """The limits on streams. All together they need no more descriptors than the process may have."""
    from shared.core.sessions.concurrency import StreamKind, Streams

    settings = app.settings.owners
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = settings.max_all_streams
    if descriptors != resource.RLIM_INFINITY:
        room = min(room, max(1, (descriptors - _OTHER_DESCRIPTORS) // _DESCRIPTORS_OF_STREAM))
    of_owner = {StreamKind.COMMAND: settings.max_execs, StreamKind.OTHER: settings.max_streams}
    return Streams(of_owner, room)


def states(app: App) -> SessionStates:
    """Moves sessions through their states."""
    from shared.core.sessions.states import SessionStates

    return SessionStates(app.store.sessions, app.clock, retention(app.settings.cleanup.retention_days))


def service(app: App) -> SessionService:
    """The use cases of sessions."""
    from shared.core.credentials.new_session import NewSessionCredentials
    from shared.core.sessions.concurrency import ExecSlots
    from shared.core.sessions.service import SessionService

    return SessionService(
        store=app.store.sessions,
        places=_places(app),
        access=app.access,
        states=app.states,
        jobs=app.jobs,
        credentials=NewSessionCredentials(app.credential_store),
        clock=app.clock,
        audit=app.auditor,
        namespace=app.settings.pods.namespace,
        slots=ExecSlots(app.settings.commands.max_per_session),
        limit=app.settings.sessions.max_per_owner,
        share=share(app),
        disk_bytes=app.pod_options.ephemeral_storage_bytes,
    )


def share(app: App) -> OwnerShare:
    """What one owner may have of a cluster."""
    from shared.core.sessions.share import OwnerShare
    from shared.quantities import quantity

    settings, disk = app.settings.owners, app.pod_options.ephemeral_storage_bytes
    return OwnerShare(
        cpu=quantity(settings.max_cpu),
        memory=quantity(settings.max_memory),
        # How much disk a session has is the operator's choice alone: his owners can have one at least.
        disk=max(quantity(settings.max_disk), Decimal(disk)),
        disk_of_session=disk,
    )


def _places(app: App) -> Mapping[str, PodRuntime]:
    """The clusters in which a new session may be made, the best first."""
    if app.settings.virtual.only:
        return {VIRTUAL: app.virtual}
    if app.settings.virtual.fallback == "virtual":
        return {DEFAULT: app.runtime, VIRTUAL: app.virtual}
    return {DEFAULT: app.runtime}


def session_update(app: App) -> SessionUpdate:
    """The use cases in which callers change their sessions."""
    from shared.core.sessions.update import SessionUpdate

    return SessionUpdate(store=app.store.sessions, access=app.access, audit=app.auditor, clock=app.clock)


def requests(app: App) -> IdempotentRequests:
    """Idempotency keys."""
    from shared.core.sessions.idempotency import IdempotentRequests

    return IdempotentRequests(app.store.requests, app.clock)
