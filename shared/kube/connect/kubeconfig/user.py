"""A kubeconfig's user, and which of its ways to authenticate is taken.

Order and exclusions are client-go's (tools/clientcmd/validation.go and
client_config.go): a token file before a token, either before name and password, those
before an exec plugin; a client certificate goes with any of them.
"""

from __future__ import annotations

import ssl

from shared.errors import ConnectionFailed
from shared.kube.api.connection import Credentials
from shared.kube.connect.access import tls
from shared.kube.connect.access.authorization import FixedAuthorization, TokenFile, is_token
from shared.kube.connect.kubeconfig.exec_plugin import ExecPlugin
from shared.kube.connect.kubeconfig.files import read_reference, resolve_path
from shared.kube.connect.kubeconfig.model import Cluster, User
from shared.reasons import Reason


def credentials_for(user: User, cluster: Cluster, trust: ssl.SSLContext | None) -> Credentials:
    """The credentials that the user's entry describes.

    Args:
        user: The user entry.
        cluster: The cluster that the credentials are for.
        trust: The connection's TLS context, which takes a plugin's client certificate; None: no TLS.

    Raises:
        ConnectionFailed: The entry contradicts itself or needs something that is not supported.
    """
    _check(user)
    if user.token_file:
        what = f"tokenFile of user {user.name!r}"
        path = resolve_path(user.token_file, user.origin, what)
        return TokenFile(path, where=f"{what} in {user.origin.label}")
    if user.token:
        if not is_token(user.token):
            raise _unusable(user, "has a token with characters that no header can hold")
        return FixedAuthorization.bearer(user.token)
    if user.username or user.password:
        return FixedAuthorization.basic(user.username, user.password or "")
    if user.exec is not None:
        return ExecPlugin(user, user.exec, cluster, trust)
    return FixedAuthorization()


def load_certificate_of(user: User, trust: ssl.SSLContext) -> None:
    """Loads the user's client certificate, if there is one, into the TLS context.

    Raises:
        ConnectionFailed: Certificate or key is missing, unreadable or malformed.
    """
    certificate = user.client_certificate_data
    if certificate is None and user.client_certificate:
        what = f"client-certificate of user {user.name!r}"
        certificate = read_reference(user.client_certificate, user.origin, what)
    key = user.client_key_data
    if key is None and user.client_key:
        key = read_reference(user.client_key, user.origin, f"client-key of user {user.name!r}")
    if certificate is None and key is None:
        return
    if certificate is None or key is None:
        missing = "client-certificate" if certificate is None else "client-key"
        raise _unusable(user, f"has a client certificate or key, but no {missing} (or {missing}-data)")
    try:
        tls.load_client_certificate(trust, certificate, key)
    except ValueError as error:
        raise _unusable(user, f"cannot authenticate: {error}") from error


def _check(user: User) -> None:
    if user.impersonates:
        raise _unusable(user, "impersonates somebody (as, as-groups, ...), which is not supported")
    if (user.token or user.token_file) and (user.username or user.password):
        raise _unusable(user, "has both a token and a password; kubectl allows one of them")
    if user.auth_provider:
        raise _unusable(
            user,
            f"uses the auth-provider {user.auth_provider!r}, which Kubernetes removed in 1.26; "
            "use an exec plugin, e.g. gke-gcloud-auth-plugin",
        )


def _unusable(user: User, problem: str) -> ConnectionFailed:
    return ConnectionFailed(
        f"user {user.name!r} in {user.origin.label} {problem}",
        reason=Reason.KUBECONFIG_USER_UNUSABLE,
        file=user.origin.label,
        user=user.name,
    )
