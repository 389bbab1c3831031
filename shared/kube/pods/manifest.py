"""The session pod's manifest: a pure function from a session and the settings to a dict.

It passes the *restricted* pod security standard
(https://kubernetes.io/docs/concepts/security/pod-security-standards/).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from shared.core.commands import SHELL
from shared.core.sessions import names
from shared.core.sessions.model import Session
from shared.kube.credentials.copying import COPY_SCRIPT, GAM_FOLDER, HOME, MOUNTED
from shared.kube.exec.supervisor import SYSTEM_PATH, WORKSPACE
from shared.kube.jobs.runtime import JOBS, JobLimits
from shared.kube.pods.diagnosis import CONTAINER
from shared.quantities import quantity
from shared.settings.pods import PodSettings

JsonObject: TypeAlias = dict[str, Any]

USER_ID = 1000
GRACE_SECONDS = 5
_DEADLINE_MARGIN_SECONDS = 120
_LOG_BYTES = 64 * 1024 * 1024

_MOUNTS = {"workspace": WORKSPACE, "home": HOME, "tmp": "/tmp", "jobs": JOBS}  # noqa: S108 - the pod's own
"""Our volumes and their mount paths; the root file system is read-only."""

_CREDENTIALS = "credentials"
"""The volume with the owner's credentials, the only read-only one."""

NAP_SECONDS = 86400

START_SCRIPT = f"""\
trap 'exit 0' TERM INT
PATH={SYSTEM_PATH}${{PATH:+:$PATH}}
{COPY_SCRIPT}\
while :; do sleep {NAP_SECONDS} & wait "$!"; done
"""
"""The pod's main process: it makes the home, then waits as PID 1. A shell that waits reaps orphans."""

_KEYS = ("mountPath", "name", "containerPort", "ip")
"""Keys that name the items of a list: a mount's path comes before its volume, mounted perhaps twice."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PodOptions:
    """The parts of a pod's manifest that the operator chooses for all sessions."""

    service_account: str
    runtime_class: str
    disk: str
    disk_request: str
    jobs_disk_bytes: int
    max_ttl_seconds: int

    @property
    def jobs_volume_bytes(self) -> int:
        """The jobs' room and a little more, because an overfull volume ends its pod."""
        return self.jobs_disk_bytes * 9 // 8

    @property
    def ephemeral_storage_bytes(self) -> int:
        """Bytes that a pod may take of its node's disk: all its volumes when full, and its log.

        With a lower limit the kubelet would evict the pod before a volume meets its own bound
        (https://kubernetes.io/docs/concepts/storage/ephemeral-storage/). GKE Autopilot gives 1 GiB
        to a pod that asks for nothing, and 10 GiB at most
        (https://cloud.google.com/kubernetes-engine/docs/concepts/autopilot-resource-requests).
        """
        others = len(_MOUNTS) - 1
        return math.ceil(quantity(self.disk) * others) + self.jobs_volume_bytes + _LOG_BYTES

    @classmethod
    def from_settings(cls, pods: PodSettings, jobs: JobLimits, max_ttl_seconds: int) -> PodOptions:
        """The options that the settings name.

        Args:
            pods: What every pod has.
            jobs: Limits that say how much disk the jobs of a session may take.
            max_ttl_seconds: Longest life of a session, in seconds.
        """
        return cls(
            service_account=pods.service_account,
            runtime_class=pods.runtime_class,
            disk=pods.disk,
            disk_request=pods.disk_request,
            jobs_disk_bytes=jobs.room,
            max_ttl_seconds=max_ttl_seconds,
        )


def pod_manifest(
    session: Session,
    options: PodOptions,
    template: Mapping[str, Any] | None = None,
    installation: str = "",
) -> JsonObject:
    """The Pod to create for a session.

    Args:
        session: The session; its pod's name and namespace are in it.
        options: The operator's choices.
        template: ``template`` of the operator's PodTemplate: everything in it survives
            where we say nothing (labels, node selectors, tolerations, volumes, sidecars);
            our fields win over its.
        installation: Id of the installation; empty: the pod does not say whose it is.

    The pod does not carry the caller's labels: with them a Service, a NetworkPolicy or a mesh of
    others could take it for one of theirs. It does not carry the caller's variables either: they
    may be secrets, and a pod's spec is read by many and logged. Commands get the variables, see
    ``sessions/variables.py``.
    """
    ours = {"metadata": _metadata(session, installation), "spec": _spec(session, options)}
    return {"apiVersion": "v1", "kind": "Pod", **merge(_cleaned(template or {}), ours)}


def _metadata(session: Session, installation: str) -> JsonObject:
    return {
        "name": session.pod_name,
        "namespace": session.namespace,
        "labels": names.pod_labels(session.id, session.owner, installation),
    }


def _spec(session: Session, options: PodOptions) -> JsonObject:
    # Kubernetes does not let an existing pod's deadline be raised, but a session's life can be made longer.
    asked = math.ceil((session.expires_at - session.created_at).total_seconds())
    life = max(asked, options.max_ttl_seconds)
    jobs = str(options.jobs_volume_bytes)
    sizes = {name: jobs if name == "jobs" else options.disk for name in _MOUNTS}
    spec: JsonObject = {
        "restartPolicy": "Never",
        # Kubernetes ends the pod even when our cleanup does not run.
        "activeDeadlineSeconds": life + _DEADLINE_MARGIN_SECONDS,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(session, options)],
        "volumes": [
            *({"name": name, "emptyDir": {"sizeLimit": size}} for name, size in sizes.items()),
            *_credentials(session),
        ],
    }
    if options.service_account:
        spec["serviceAccountName"] = options.service_account
    if options.runtime_class:
        spec["runtimeClassName"] = options.runtime_class
    return spec


def _credentials(session: Session) -> list[JsonObject]:
    """The volume with the owner's Secret, if the Secret is there when the pod starts.

    It holds only the files that the session's document names: those that the creator has chosen and
    that were found to be the creator's. A file that was not checked may belong to another person, who
    had the address before. ``CredentialRuntime`` brings files that come later. The files' group is the
    pod's own: fsGroup.
    """
    if not session.credentials:
        return []
    secret: JsonObject = {
        "secretName": session.secret_name,
        "optional": True,
        "defaultMode": 0o440,
        "items": [{"key": name, "path": name} for name in session.credentials],
    }
    return [{"name": _CREDENTIALS, "secret": secret}]


def _container(session: Session, options: PodOptions) -> JsonObject:
    resources = {"cpu": session.resources.cpu, "memory": session.resources.memory}
    requests, limits = dict(resources), dict(resources)
    if options.disk_request:
        disk = options.ephemeral_storage_bytes
        requests["ephemeral-storage"] = str(min(disk, math.ceil(quantity(options.disk_request))))
        limits["ephemeral-storage"] = str(disk)
    mounts: list[JsonObject] = [{"name": name, "mountPath": path} for name, path in _MOUNTS.items()]
    if session.credentials:
        mounts.append({"name": _CREDENTIALS, "mountPath": MOUNTED, "readOnly": True})
    return {
        "name": CONTAINER,
        "image": session.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [SHELL, "-c", START_SCRIPT],
        "workingDir": WORKSPACE,
        "env": [{"name": "GAMCFGDIR", "value": GAM_FOLDER}, {"name": "HOME", "value": HOME}],
        "resources": {"requests": requests, "limits": limits},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }


def _cleaned(template: Mapping[str, Any]) -> JsonObject:
    """The template without what would undo the isolation: the host's namespaces, and added capabilities."""
    spec = {
        key: value
        for key, value in (template.get("spec") or {}).items()
        if key not in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "ephemeralContainers")
    }
    spec["volumes"] = [v for v in spec.get("volumes") or [] if v.get("name") not in (*_MOUNTS, _CREDENTIALS)]
    spec["containers"] = [
        {
            key: value
            for key, value in container.items()
            if key not in ("securityContext", "args", "lifecycle")
        }
        if container.get("name") == CONTAINER
        else container
        for container in spec.get("containers") or []
    ]
    metadata = template.get("metadata") or {}
    kept = {key: dict(metadata[key]) for key in ("labels", "annotations") if metadata.get(key)}
    return {"metadata": kept, "spec": spec}


def merge(under: Any, over: Any) -> Any:
    """Merges two JSON values; ``over`` wins.

    Objects merge key by key. Lists of objects that have a name (or ``mountPath`` and the
    like) merge by that key: first the items of ``over``, in their order, then those that only
    ``under`` has. Other lists are replaced.
    """
    if isinstance(under, Mapping) and isinstance(over, Mapping):
        merged = {key: merge(under[key], over[key]) if key in under else over[key] for key in over}
        return {**{key: under[key] for key in under if key not in over}, **merged}
    if isinstance(under, list) and isinstance(over, list):
        key = _merge_key(under + over)
        if key is not None:
            known = {item[key]: item for item in under}
            merged_items = [merge(known.pop(item[key], {}), item) for item in over]
            return merged_items + list(known.values())
    return over


def _merge_key(items: list[Any]) -> str | None:
    """The key that names every item, if there is one."""
    for key in _KEYS:
        if items and all(isinstance(item, Mapping) and key in item for item in items):
            return key
    return None
