"""Kubeconfig files: parsing and merging, by the rules of kubectl.

Format: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/. Merging: the first
file that names an entry wins it whole, and the first current-context counts
(https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/).
What kubectl refuses is refused here too: wrong types, duplicate names, invalid base64.
This module reads no other file; ``connection`` does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from shared.kube.connect.kubeconfig.fields import Fields, Origin, invalid, load

_EXEC_EXTENSION = "client.authentication.k8s.io/exec"


def _secret() -> Any:
    return dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """An API server. The field names are those of the file."""

    name: str
    origin: Origin
    server: str = ""
    certificate_authority: str = ""
    certificate_authority_data: bytes | None = None
    tls_server_name: str = ""
    proxy_url: str = dataclasses.field(default="", repr=False)
    insecure_skip_tls_verify: bool = False
    disable_compression: bool = False
    exec_config: object = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExecConfig:
    """A program that prints credentials (KEP-541)."""

    command: str
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = dataclasses.field(repr=False)
    api_version: str
    install_hint: str
    provide_cluster_info: bool
    interactive_mode: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Credentials. The field names are those of the file."""

    name: str
    origin: Origin
    token: str | None = _secret()
    token_file: str = ""
    client_certificate: str = ""
    client_certificate_data: bytes | None = _secret()
    client_key: str = ""
    client_key_data: bytes | None = _secret()
    username: str = ""
    password: str | None = _secret()
    exec: ExecConfig | None = None
    auth_provider: str = ""
    impersonates: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A cluster and the user to be there. The namespace that we use is a setting, not the context's."""

    name: str
    origin: Origin
    cluster: str = ""
    user: str = ""
    namespace: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kubeconfig:
    """One file, or several merged."""

    origin: Origin
    current_context: str = ""
    clusters: Mapping[str, Cluster] = dataclasses.field(default_factory=dict)
    users: Mapping[str, User] = dataclasses.field(default_factory=dict)
    contexts: Mapping[str, Context] = dataclasses.field(default_factory=dict)


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Entry = TypeVar("_Entry", bound=_Named)


def parse(content: bytes, origin: Origin) -> Kubeconfig:
    """Reads one file. An empty file is an empty configuration; of several YAML documents the first counts.

    Args:
        content: The file, YAML or JSON.
        origin: Where the content comes from.

    Raises:
        ConnectionFailed: The file is malformed (reason ``KUBECONFIG_INVALID``). The error names
            the file and the place, never the text at that place.
    """
    top = Fields(load(content, origin), origin, "")
    if top.text("kind") not in ("", "Config") or top.text("apiVersion") not in ("", "v1"):
        raise invalid(origin, "is not a kubeconfig: kind must be Config and apiVersion v1")
    _check_preferences(top)
    return Kubeconfig(
        origin=origin,
        current_context=top.text("current-context"),
        clusters=_by_name(top, "clusters", "cluster", _cluster),
        users=_by_name(top, "users", "user", _user),
        contexts=_by_name(top, "contexts", "context", _context),
    )


def merge(files: Sequence[Kubeconfig]) -> Kubeconfig:
    """Merges files in order of precedence; the result's origin names them all."""
    backwards = files[::-1]
    return Kubeconfig(
        origin=Origin(", ".join(file.origin.label for file in files), None),
        current_context=next((file.current_context for file in files if file.current_context), ""),
        clusters={name: entry for file in backwards for name, entry in file.clusters.items()},
        users={name: entry for file in backwards for name, entry in file.users.items()},
        contexts={name: entry for file in backwards for name, entry in file.contexts.items()},
    )


def _by_name(
    top: Fields, plural: str, singular: str, read: Callable[[str, Fields], _Entry]
) -> dict[str, _Entry]:
    entries: dict[str, _Entry] = {}
    for item in top.items(plural):
        name = item.text("name")
        if name in entries:
            raise invalid(top.origin, f"has two {plural} named {name!r}")
        entries[name] = read(name, item.fields(singular))
    return entries


def _cluster(name: str, fields: Fields) -> Cluster:
    extensions = _extensions(fields)
    return Cluster(
        name=name,
        origin=fields.origin,
        server=fields.text("server"),
        certificate_authority=fields.text("certificate-authority"),
        certificate_authority_data=fields.data("certificate-authority-data"),
        tls_server_name=fields.text("tls-server-name"),
        proxy_url=fields.text("proxy-url"),
        insecure_skip_tls_verify=fields.flag("insecure-skip-tls-verify"),
        disable_compression=fields.flag("disable-compression"),
        exec_config=extensions.get(_EXEC_EXTENSION),
    )


def _extensions(fields: Fields) -> dict[str, object]:
    """What other programs have put there, by name."""
    return {item.text("name"): item.raw("extension") for item in fields.items("extensions")}


def _check_preferences(top: Fields) -> None:
    """Checks the types of what is not read: a file in which they are wrong is refused by kubectl."""
    preferences = top.fields("preferences")
    preferences.flag("colors")
    for fields in (top, preferences):
        _extensions(fields)


def _impersonates(fields: Fields) -> bool:
    extra = fields.fields("as-user-extra")
    lists = [fields.texts("as-groups"), *(extra.texts(key) for key in extra.names())]
    return bool(fields.text("as") or fields.text("as-uid") or any(lists) or fields.has("as-user-extra"))


def _auth_provider(fields: Fields) -> str:
    config = fields.fields("config")
    for key in config.names():
        config.text(key)
    return fields.text("name")


def _user(name: str, fields: Fields) -> User:
    _extensions(fields)
    return User(
        name=name,
        origin=fields.origin,
        token=fields.text("token") or None,
        token_file=fields.text("tokenFile"),
        client_certificate=fields.text("client-certificate"),
        client_certificate_data=fields.data("client-certificate-data"),
        client_key=fields.text("client-key"),
        client_key_data=fields.data("client-key-data"),
        username=fields.text("username"),
        password=fields.text("password") or None,
        exec=_exec(fields.fields("exec")) if fields.has("exec") else None,
        auth_provider=_auth_provider(fields.fields("auth-provider")),
        impersonates=_impersonates(fields),
    )


def _exec(fields: Fields) -> ExecConfig:
    return ExecConfig(
        command=fields.text("command"),
        args=fields.texts("args"),
        env=tuple((item.text("name"), item.text("value")) for item in fields.items("env")),
        api_version=fields.text("apiVersion"),
        install_hint=fields.text("installHint"),
        provide_cluster_info=fields.flag("provideClusterInfo"),
        interactive_mode=fields.text("interactiveMode"),
    )


def _context(name: str, fields: Fields) -> Context:
    _extensions(fields)
    return Context(
        name=name,
        origin=fields.origin,
        cluster=fields.text("cluster"),
        user=fields.text("user"),
        namespace=fields.text("namespace"),
    )
