"""Adapters that verify who calls."""

from __future__ import annotations

from shared.errors import ConfigurationError
from shared.identity.model import Identity, IdentityVerifier
from shared.settings import Settings

__all__ = ["Identity", "IdentityVerifier", "identity_verifier"]


def identity_verifier(settings: Settings) -> IdentityVerifier:
    """The verifier that ``AUTH_MODE`` asks for. Imports nothing that the other verifiers need.

    Args:
        settings: ``auth_mode``, ``auth_audience``, ``auth_keys_url``, ``allowed_domains`` and
            ``dev_clients`` count.

    Raises:
        ConfigurationError: The development identity on Cloud Run.
    """
    if settings.auth_mode == "dev":
        if settings.on_cloud_run:
            raise ConfigurationError(
                "AUTH_MODE=dev trusts a header and refuses to start on Cloud Run", variable="AUTH_MODE"
            )
        from shared.identity.dev import DevVerifier

        return DevVerifier(allowed_domains=settings.allowed_domains, clients=settings.dev_clients)
    if settings.auth_mode == "iap":
        from shared.identity.iap import IapVerifier

        return IapVerifier(settings)
    from shared.identity.google import GoogleVerifier

    return GoogleVerifier(settings)
