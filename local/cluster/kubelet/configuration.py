"""Translates a pod's spec into a runtime's terms: user, mounts, environment, command."""

import base64
from collections.abc import Mapping
from pathlib import Path

from ..objects import Object
from ..objects.resources import CONFIG_MAPS, SECRETS
from ..runtime.model import ContainerSpec, Mount
from ..store import Store
from .addresses import HOST_IP
from .images import Image
from .volumes import mounts_of


class ConfigError(Exception):
    """The container cannot be configured; the message is that of CreateContainerConfigError."""


def pod_identity(pod: Object) -> str:
    """Return how the kubelet names a pod in messages: ``name_namespace(uid)``."""
    metadata = pod["metadata"]
    return f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"


def container_spec(
    store: Store,
    pod: Object,
    container: Object,
    image: Image,
    volumes: dict[str, Path],
    directory: Path,
    address: str,
) -> ContainerSpec:
    """Return the runtime's specification of a container.

    Args:
        store: Holds secrets and config maps for the environment.
        pod: The pod.
        container: The container as in the pod's spec.
        image: Its image.
        volumes: Folders of the pod's volumes, by name.
        directory: Folder for this run of the container.
        address: The pod's address.

    Raises:
        ConfigError: The user is not allowed, or the environment refers to something that is missing.
    """
    security = {**(pod["spec"].get("securityContext") or {}), **(container.get("securityContext") or {})}
    user = security.get("runAsUser", 0)
    if security.get("runAsNonRoot") and user == 0:
        whom = f'(pod: "{pod_identity(pod)}", container: {container["name"]})'
        if "runAsUser" in security:
            raise ConfigError(f"container's runAsUser breaks non-root policy {whom}")
        raise ConfigError(f"container has runAsNonRoot and image will run as root {whom}")
    mounts = mounts_of(container, volumes, pod["spec"].get("volumes") or [])
    if image.folder is not None:
        # Containers have their own /tmp, so an image below this machine's /tmp has to be mounted.
        mounts = (*mounts, Mount(image.folder, str(image.folder), read_only=True))
    base = {"HOME": "/root" if user == 0 else "/", **image.env, "HOSTNAME": pod["metadata"]["name"]}
    return ContainerSpec(
        pod=pod["metadata"]["uid"],
        directory=directory,
        # A real image has its own command. The images here start a shell.
        argv=(*(container.get("command") or ("/bin/sh",)), *(container.get("args") or ())),
        env={**base, **_environment(store, pod, container, address)},
        working_dir=container.get("workingDir") or "/",
        mounts=mounts,
        user=user,
        group=security.get("runAsGroup", user),
        read_only_root=bool(security.get("readOnlyRootFilesystem")),
    )


def _environment(store: Store, pod: Object, container: Object, address: str) -> Mapping[str, str]:
    env: dict[str, str] = {}
    for variable in container.get("env") or []:
        source = variable.get("valueFrom") or {}
        if "secretKeyRef" in source:
            value = _referenced(store, pod, source["secretKeyRef"], secret=True)
        elif "configMapKeyRef" in source:
            value = _referenced(store, pod, source["configMapKeyRef"], secret=False)
        elif "fieldRef" in source:
            value = _field(pod, source["fieldRef"].get("fieldPath", ""), address)
        else:
            value = variable.get("value", "")
        if value is not None:
            env[variable["name"]] = value
    return env


def _referenced(store: Store, pod: Object, reference: Object, *, secret: bool) -> str | None:
    resource, kind = (SECRETS, "secret") if secret else (CONFIG_MAPS, "configmap")
    namespace, name, key = pod["metadata"]["namespace"], reference.get("name", ""), reference.get("key", "")
    found = store.get(resource, namespace, name)
    value = ((found or {}).get("data") or {}).get(key)
    if value is None:
        if reference.get("optional"):
            return None
        if found is None:
            raise ConfigError(f'{kind} "{name}" not found')
        raise ConfigError(f"couldn't find key {key} in {resource.kind} {namespace}/{name}")
    return base64.b64decode(value).decode(errors="replace") if secret else str(value)


def _field(pod: Object, path: str, address: str) -> str:
    """Return a field of the pod for the downward API; an unknown field is empty."""
    values = {
        "metadata.name": pod["metadata"]["name"],
        "metadata.namespace": pod["metadata"]["namespace"],
        "metadata.uid": pod["metadata"]["uid"],
        "spec.nodeName": pod["spec"].get("nodeName", ""),
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", ""),
        "status.podIP": address,
        "status.hostIP": HOST_IP,
    }
    return str(values.get(path, ""))
