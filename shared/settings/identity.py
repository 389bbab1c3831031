"""How callers prove who they are."""

from __future__ import annotations

from typing import Literal

from shared.errors import ConfigurationError
from shared.settings.setting import CLOUD_RUN_SERVICE, Group, setting
from shared.settings.values import require_local_origins

AuthMode = Literal["google", "iap", "dev"]


class IdentitySettings(Group):
    """How callers prove who they are, and users of which domains may call.

    Raises:
        ConfigurationError: A value is not allowed, alone or together with another value; names the variable.
    """

    auth_mode: AuthMode = setting(
        "AUTH_MODE",
        default="google",
        doc="Who callers are: `google` (ID token in Authorization), `iap` (Identity-Aware Proxy) "
        "or `dev` (header X-Dev-User; loopback only, never on Cloud Run)",
    )
    audience: str = setting(
        "AUTH_AUDIENCE", default="", doc="Audience that tokens must carry; required by `google` and `iap`"
    )
    allowed_domains: tuple[str, ...] = setting(
        "ALLOWED_DOMAINS",
        default=(),
        doc="Workspace domains whose users may call, comma-separated; empty: any",
    )
    keys_url: str = setting(
        "AUTH_KEYS_URL",
        default="",
        doc="Where the issuer's public keys are, as a JWK set; empty: Google's own address",
    )
    dev_clients: tuple[str, ...] = setting(
        "DEV_CLIENTS",
        default=(),
        doc="Origins of other servers on this machine whose pages may call with `AUTH_MODE=dev`, "
        "comma-separated, e.g. `http://127.0.0.1:3001`",
    )
    k_service: str = CLOUD_RUN_SERVICE

    def check(self) -> None:
        """See ``Group``."""
        if self.auth_mode == "dev" and self.k_service:
            raise ConfigurationError(
                "AUTH_MODE=dev trusts a header and refuses to start on Cloud Run; use google or iap",
                variable="AUTH_MODE",
            )
        if self.auth_mode != "dev" and not self.audience:
            raise ConfigurationError(
                f"AUTH_MODE={self.auth_mode} needs AUTH_AUDIENCE", variable="AUTH_AUDIENCE"
            )
        require_local_origins("DEV_CLIENTS", self.dev_clients)
