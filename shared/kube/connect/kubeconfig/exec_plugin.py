"""Exec credential plugins: a program of the user's choice prints a token or a client certificate.

Protocol: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
and KEP-541. ``client.authentication.k8s.io/v1`` and ``v1beta1``.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from shared.errors import ConnectionFailed
from shared.kube.connect.access import tls
from shared.kube.connect.access.authorization import is_token
from shared.kube.connect.access.renewal import Lease, Renewal, lease_until
from shared.kube.connect.kubeconfig.files import read_reference, resolve_path
from shared.kube.connect.kubeconfig.model import Cluster, ExecConfig, User
from shared.kube.connect.kubeconfig.subprocesses import ProgramError, run_program
from shared.reasons import Reason

_GROUP = "client.authentication.k8s.io/"
_VERSIONS = (_GROUP + "v1", _GROUP + "v1beta1")
_MARGIN_SECONDS = 60.0
_GRACE_SECONDS = 5.0
_TIMEOUT_SECONDS = 30.0


class ExecPlugin:
    """Credentials from a plugin, kept until they expire or are refused.

    The plugin has no terminal: a plugin that must ask a person fails.

    Args:
        user: The user entry that names the plugin, for messages.
        config: How to run the plugin.
        cluster: The cluster, described to plugins that ask for it.
        trust: TLS context that a client certificate is loaded into; None: no TLS.
        timeout_seconds: Longest time that the plugin may take.
        now: The time of day, in seconds since the epoch.

    Raises:
        ConnectionFailed: The entry is incomplete or asks for what is not supported.
    """

    def __init__(
        self,
        user: User,
        config: ExecConfig,
        cluster: Cluster,
        trust: ssl.SSLContext | None,
        *,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._user = user
        self._config = config
        self._trust = trust
        self._timeout_seconds = timeout_seconds
        self._now = now
        self._check()
        self._command = [self._path_of(config.command), *config.args]
        try:
            self._info = json.dumps(self._describe(cluster))
        except (TypeError, ValueError, RecursionError) as error:
            raise self._failed("is to be told of the cluster's extension, which is no JSON") from error
        self._authorization = Renewal(
            self._fetch,
            what=f"the credentials of user {user.name!r}",
            grace_seconds=_GRACE_SECONDS,
            now=now,
        )

    async def authorization(self, *, refresh: bool = False) -> str | None:
        """The header with the plugin's token; None when the plugin gave a client certificate only.

        Raises:
            ConnectionFailed: The plugin is missing, fails, hangs or prints something else.
        """
        return await self._authorization.get(refused=refresh)

    async def _fetch(self) -> Lease[str | None]:
        environment = {**os.environ, **dict(self._config.env), "KUBERNETES_EXEC_INFO": self._info}
        try:
            output = await run_program(self._command, environment, timeout_seconds=self._timeout_seconds)
        except FileNotFoundError as error:
            hint = " ".join(self._config.install_hint.split())[:1000]
            raise self._failed(
                f"is not installed{f': {hint}' if hint else '; install it, or use another source'}",
                reason=Reason.EXEC_PLUGIN_MISSING,
            ) from error
        except (OSError, ValueError) as error:
            raise self._failed("cannot be run; check that it is a program that may be executed") from error
        except ProgramError as error:
            raise self._failed(f"{error}; run it by hand to see why") from error
        return self._read(output)

    def _read(self, output: bytes) -> Lease[str | None]:
        try:
            answer = json.loads(output)
            kind, version, status = answer["kind"], answer["apiVersion"], answer["status"]
            token, certificate, key, expires = (
                _text(status, name)
                for name in ("token", "clientCertificateData", "clientKeyData", "expirationTimestamp")
            )
            expires_at = _epoch_seconds(expires) if expires else None
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise self._failed("printed no valid ExecCredential") from error
        if kind != "ExecCredential" or version != self._config.api_version:
            raise self._failed(f"did not print an ExecCredential of {self._config.api_version}")
        if not token and not certificate:
            raise self._failed("printed neither a token nor a client certificate")
        if token and not is_token(token):
            raise self._failed("printed a token with characters that no header can hold")
        if bool(certificate) != bool(key):
            raise self._failed("printed a client certificate without its key, or a key alone")
        if certificate and self._trust is not None:
            try:
                tls.load_client_certificate(self._trust, certificate.encode(), key.encode())
            except ValueError as error:
                raise self._failed(f"printed credentials that do not load: {error}") from error
        header = f"Bearer {token}" if token else None
        return lease_until(header, expires_at, margin_seconds=_MARGIN_SECONDS, now=self._now())

    def _check(self) -> None:
        if not self._config.command:
            raise self._failed("names no command")
        if self._config.api_version not in _VERSIONS:
            raise self._failed(f"must have the apiVersion {' or '.join(_VERSIONS)}")
        mode = self._config.interactive_mode or (
            "IfAvailable" if self._config.api_version.endswith("beta1") else ""
        )
        if mode == "Always":
            raise self._failed("wants a terminal (interactiveMode: Always), and a server has none")
        if mode not in ("Never", "IfAvailable"):
            raise self._failed("must set interactiveMode to Never or IfAvailable")
        if any("\0" in text or not name for name, text in self._config.env) or any(
            "=" in name or "\0" in name for name, _ in self._config.env
        ):
            raise self._failed("has an environment variable without a valid name")

    def _path_of(self, command: str) -> str:
        """A bare name as it is, for a look-up in PATH; a path starts from the kubeconfig's folder."""
        if os.sep not in command:
            return command
        return str(resolve_path(command, self._user.origin, f"exec command of user {self._user.name!r}"))

    def _describe(self, cluster: Cluster) -> dict[str, Any]:
        spec: dict[str, Any] = {"interactive": False}
        if self._config.provide_cluster_info:
            spec["cluster"] = _cluster_info(cluster)
        return {"kind": "ExecCredential", "apiVersion": self._config.api_version, "spec": spec}

    def _failed(self, problem: str, *, reason: Reason = Reason.EXEC_PLUGIN_FAILED) -> ConnectionFailed:
        user = self._user
        return ConnectionFailed(
            f"the exec plugin {self._config.command!r} of user {user.name!r} in {user.origin.label} "
            f"{problem}",
            reason=reason,
            file=user.origin.label,
            user=user.name,
            command=self._config.command,
        )


def _cluster_info(cluster: Cluster) -> dict[str, Any]:
    authority = cluster.certificate_authority_data
    if authority is None and cluster.certificate_authority:
        what = f"certificate-authority of cluster {cluster.name!r}"
        authority = read_reference(cluster.certificate_authority, cluster.origin, what)
    info = {
        "server": cluster.server,
        "tls-server-name": cluster.tls_server_name,
        "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
        "certificate-authority-data": base64.b64encode(authority or b"").decode(),
        "proxy-url": cluster.proxy_url,
        "disable-compression": cluster.disable_compression,
        "config": cluster.exec_config,
    }
    return {key: value for key, value in info.items() if value}


def _text(status: object, name: str) -> str:
    if not isinstance(status, dict):
        raise TypeError("status must be an object")
    value = status.get(name)
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be a string")
    return value or ""


def _epoch_seconds(timestamp: str) -> float:
    moment = datetime.fromisoformat(timestamp)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
