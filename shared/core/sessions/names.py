"""Names and labels: how they are derived, and what Kubernetes accepts.

Syntax: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and
https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

SESSION_LABEL = "gamgui.io/session"
OWNER_LABEL = "gamgui.io/owner"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "gamgui"
INSTALLATION_LABEL = "gamgui.io/installation"

_LABEL_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_PREFIX = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_RESERVED_PREFIX = re.compile(r"(.*\.)?(kubernetes\.io|k8s\.io|gamgui\.io)")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")


def pod_name(session_id: str) -> str:
    """The name of the session's pod. It is deterministic, so that a repeated create gets AlreadyExists."""
    return f"gam-{session_id}"


def owner_hash(owner: str) -> str:
    """A label value for the owner, because an e-mail address may be too long for a label and has an ``@``.

    Returns:
        The first 128 bits of SHA-256 in hexadecimal (32 characters).
    """
    return hashlib.sha256(owner.encode()).hexdigest()[:32]


def credentials_name(owner: str, installation: str = "") -> str:
    """The name of the Secret with the owner's credentials; without an installation: an earlier release's."""
    return credentials_name_of(owner_hash(owner), installation)


def credentials_name_of(owner: str, installation: str = "") -> str:
    """The name of the Secret with the credentials of the owner whose ``owner_hash`` is given."""
    return "-".join(("gam-credentials", owner, *([installation] if installation else [])))


def pod_labels(session_id: str, owner: str, installation: str = "") -> dict[str, str]:
    """This service's labels of a session's pod. They take precedence over the caller's labels."""
    return {**owner_labels(owner, installation), SESSION_LABEL: session_id}


def owner_labels(owner: str, installation: str = "") -> dict[str, str]:
    """This service's labels of every object that belongs to one owner."""
    made_by = {INSTALLATION_LABEL: installation} if installation else {}
    return {MANAGED_BY_LABEL: MANAGED_BY, OWNER_LABEL: owner_hash(owner), **made_by}


def label_fault(labels: Mapping[str, str]) -> str | None:
    """Finds the first fault in a caller's labels.

    Returns:
        One sentence that names the key; None when Kubernetes accepts all labels and no key has a
        reserved prefix.
    """
    for key, value in labels.items():
        prefix, slash, name = key.rpartition("/")
        if not _LABEL_NAME.fullmatch(name) or (slash and not _LABEL_PREFIX.fullmatch(prefix)):
            return f"label key {key!r} is not a Kubernetes label key"
        if slash and _RESERVED_PREFIX.fullmatch(prefix):
            return f"label key {key!r} has a reserved prefix"
        if value and not _LABEL_NAME.fullmatch(value):
            return f"value of label {key!r} is not a Kubernetes label value"
    return None


def env_fault(env: Mapping[str, str]) -> str | None:
    """Finds the first fault in environment variables: a wrong name, or a NUL character in a value.

    Returns:
        One sentence that names the variable; None when there is no fault.
    """
    for name, value in env.items():
        if not _ENV_NAME.fullmatch(name):
            return f"{name!r} is not the name of an environment variable"
        if "\0" in value:
            return f"the value of {name!r} holds a NUL character"
    return None
