"""Adapters that verify who calls."""

from __future__ import annotations

from shared.identity.model import Identity, IdentityVerifier
from shared.settings.identity import IdentitySettings

__all__ = ["Identity", "IdentityVerifier", "identity_verifier"]


def identity_verifier(settings: IdentitySettings, *, services: tuple[str, ...] = ()) -> IdentityVerifier:
    """The verifier that ``AUTH_MODE`` asks for. Imports nothing that the other verifiers need.

    Args:
        settings: How callers say who they are, and whose domain may call.
        services: Accounts that may call whatever their domain.
    """
    if settings.auth_mode == "dev":
        from shared.identity.dev import DevVerifier

        return DevVerifier(allowed_domains=settings.allowed_domains, clients=settings.dev_clients)
    if settings.auth_mode == "iap":
        from shared.identity.iap import IapVerifier

        return IapVerifier(settings, services)
    from shared.identity.google import GoogleVerifier

    return GoogleVerifier(settings, services)
