"""From kubeconfig files to a connection: which files, which context, which trust."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import os
import ssl
from pathlib import Path

from shared.errors import ConnectionFailed
from shared.kube.api.connection import Connection
from shared.kube.connect.access import tls
from shared.kube.connect.access.urls import is_base_url, is_host
from shared.kube.connect.kubeconfig.fields import Origin, invalid
from shared.kube.connect.kubeconfig.files import read_file, read_reference
from shared.kube.connect.kubeconfig.model import Cluster, Context, Kubeconfig, User, merge, parse
from shared.kube.connect.kubeconfig.user import credentials_for, load_certificate_of
from shared.reasons import Reason

_log = logging.getLogger(__name__)


async def from_base64(text: str, *, setting: str = "KUBECONFIG_BASE64") -> Connection:
    """Connects as a kubeconfig in a setting says.

    Args:
        text: The file, base64-encoded; line breaks are allowed.
        setting: The setting's name, for messages.

    Raises:
        ConnectionFailed: The kubeconfig is malformed or incomplete, or names files by relative paths.
    """
    return await asyncio.to_thread(_from_base64, text, setting)


async def from_paths(paths: str, *, method: str = "kubeconfig") -> Connection:
    """Connects as kubeconfig files say.

    Args:
        paths: Paths joined by ``os.pathsep``, as kubectl reads KUBECONFIG: files that do
            not exist are left out, as long as one of them exists.
        method: The connection's ``method``.

    Raises:
        ConnectionFailed: No file exists, or one is malformed or incomplete.
    """
    return await asyncio.to_thread(_from_paths, paths, method)


def _from_base64(text: str, setting: str) -> Connection:
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConnectionFailed(
            f"{setting} is not base64; set it to the output of: "
            "kubectl config view --flatten --minify --raw | base64",
            reason=Reason.KUBECONFIG_INVALID,
            file=setting,
        ) from error
    return connect(parse(content, Origin(setting, None)), method="kubeconfig-base64")


def _from_paths(paths: str, method: str) -> Connection:
    files: list[Kubeconfig] = []
    names = list(dict.fromkeys(path for path in paths.split(os.pathsep) if path))
    for name in names:
        content = read_file(name)
        if content is None:
            _log.warning("kubeconfig file %s does not exist", name)
        else:
            files.append(parse(content, Origin(name, Path(name).absolute().parent)))
    if not files:
        raise ConnectionFailed(
            f"none of the kubeconfig files exists: {', '.join(names) or 'KUBECONFIG names none'}; "
            "correct KUBECONFIG, or unset it to use another source",
            reason=Reason.KUBECONFIG_NOT_FOUND,
            file=os.pathsep.join(names),
        )
    return connect(files[0] if len(files) == 1 else merge(files), method=method)


def connect(config: Kubeconfig, *, method: str) -> Connection:
    """Connects as the current context says. It reads files and so blocks: call it in a thread.

    Args:
        config: One file, or several merged.
        method: The connection's ``method``.

    Raises:
        ConnectionFailed: Something is missing or malformed; the error names file, context and entry.
    """
    context = _current(config)
    cluster = config.clusters.get(context.cluster)
    if cluster is None:
        raise _incomplete(context, f"names the cluster {context.cluster!r}, which no file defines")
    user = User(name="", origin=context.origin)
    if context.user:
        if context.user not in config.users:
            raise _incomplete(context, f"names the user {context.user!r}, which no file defines")
        user = config.users[context.user]
    _check_server(cluster)
    _check_server_name(cluster)
    _check_proxy(cluster)
    trust = _trust(cluster)
    if trust is not None:
        load_certificate_of(user, trust)
    return Connection(
        method=method,
        cluster=cluster.name,
        server=cluster.server.rstrip("/"),
        credentials=credentials_for(user, cluster, trust),
        ssl_context=trust,
        server_hostname=(cluster.tls_server_name or None) if trust is not None else None,
        proxy=cluster.proxy_url or None,
    )


def _current(config: Kubeconfig) -> Context:
    label, names = config.origin.label, ", ".join(config.contexts) or "none"
    if not config.current_context:
        raise ConnectionFailed(
            f"{label} has no current-context (there are: {names}); "
            "choose one with kubectl config use-context",
            reason=Reason.KUBECONFIG_NO_CONTEXT,
            file=label,
        )
    if config.current_context not in config.contexts:
        raise ConnectionFailed(
            f"the current-context {config.current_context!r} of {label} is not defined (there are: {names})",
            reason=Reason.KUBECONFIG_NO_CONTEXT,
            file=label,
            context=config.current_context,
        )
    return config.contexts[config.current_context]


def _incomplete(context: Context, problem: str) -> ConnectionFailed:
    label = context.origin.label
    return ConnectionFailed(
        f"the context {context.name!r} of {label} {problem}",
        reason=Reason.KUBECONFIG_INCOMPLETE,
        file=label,
        context=context.name,
        cluster=context.cluster,
        user=context.user,
    )


def _trust(cluster: Cluster) -> ssl.SSLContext | None:
    """Trust in the cluster's authorities, never weaker than the file says; None for plain HTTP."""
    if cluster.server.startswith("http://"):
        return None
    authority = cluster.certificate_authority_data
    if authority is None and cluster.certificate_authority:
        authority = read_reference(
            cluster.certificate_authority,
            cluster.origin,
            f"certificate-authority of cluster {cluster.name!r}",
        )
    if cluster.insecure_skip_tls_verify:
        if authority is not None:
            raise invalid(
                cluster.origin,
                "sets both insecure-skip-tls-verify and a certificate authority "
                f"for cluster {cluster.name!r}; remove insecure-skip-tls-verify",
            )
        _log.warning(
            "the certificate of cluster %r is not verified: insecure-skip-tls-verify is set in %s",
            cluster.name,
            cluster.origin.label,
        )
        return tls.no_trust()
    if authority is None:
        return tls.public_trust()
    try:
        return tls.private_trust(authority)
    except ValueError as error:
        raise invalid(
            cluster.origin, f"is malformed: the certificate authority of cluster {cluster.name!r} {error}"
        ) from error


def _check_server(cluster: Cluster) -> None:
    """Accepts ``https://host[:port][/path]``, and ``http://`` where the file says so."""
    if not cluster.server:
        raise invalid(cluster.origin, f"has no server for cluster {cluster.name!r}; none is assumed")
    if "@" in cluster.server or not is_base_url(cluster.server, ("https", "http")):
        raise invalid(
            cluster.origin,
            f"is malformed: the server of cluster {cluster.name!r} must be a URL like https://host:port, "
            "without user, query and fragment",
        )


def _check_proxy(cluster: Cluster) -> None:
    """Accepts HTTP proxies."""
    if cluster.proxy_url and not is_base_url(cluster.proxy_url, ("https", "http")):
        raise invalid(
            cluster.origin,
            f"cannot be used: proxy-url of cluster {cluster.name!r} must be a URL like http://host:port "
            "(SOCKS proxies are not supported)",
        )


def _check_server_name(cluster: Cluster) -> None:
    """Accepts a host name or an IP address."""
    if cluster.tls_server_name and not is_host(cluster.tls_server_name):
        raise invalid(cluster.origin, f"is malformed: tls-server-name of cluster {cluster.name!r} is no name")
