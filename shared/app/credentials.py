"""Builds the owners' and the administrators' use cases of credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.app.composition import App
    from shared.core.credentials.owners import OwnerService
    from shared.core.credentials.service import CredentialService


def service(app: App) -> CredentialService:
    """The use cases of credentials."""
    from shared.app.cluster import each
    from shared.core.credentials.service import CredentialService
    from shared.kube.credentials.copying import KubernetesCredentials
    from shared.virtual.credentials import VirtualCredentials

    return CredentialService(
        store=app.credential_store,
        runtimes=each(app, KubernetesCredentials(app.runtime), VirtualCredentials()),
        sessions=app.store.sessions,
        access=app.access,
        audit=app.auditor,
        clock=app.clock,
    )


def owners(app: App) -> OwnerService:
    """The administrators' use cases for addresses that change hands."""
    from shared.core.credentials.owners import OwnerService

    return OwnerService(
        store=app.store.sessions, credentials=app.credential_store, access=app.access, audit=app.auditor
    )
