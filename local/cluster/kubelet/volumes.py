"""Volumes of a pod as folders of this machine."""

import base64
import os
import shutil
from pathlib import Path

from ..objects import Object
from ..objects.resources import CONFIG_MAPS, SECRETS
from ..runtime.model import Mount
from ..store import Store


class VolumeError(Exception):
    """A volume cannot be set up yet; the message is that of the kubelet's event."""


def set_up_volumes(store: Store, pod: Object, directory: Path) -> dict[str, Path]:
    """Make the folders of a pod's volumes.

    Args:
        store: Holds secrets and config maps.
        pod: The pod.
        directory: The pod's own folder; volumes are made below ``volumes/``.

    Returns:
        Folders by names of volumes.

    Raises:
        VolumeError: A secret or config map, or one of its keys, is missing, or the kind of volume is unknown.
    """
    folders: dict[str, Path] = {}
    for volume in pod["spec"].get("volumes") or []:
        name = volume["name"]
        folder = directory / "volumes" / name
        try:
            _set_up(store, pod["metadata"]["namespace"], volume, folder)
        except VolumeError as error:
            raise VolumeError(f'MountVolume.SetUp failed for volume "{name}" : {error}') from error
        folders[name] = folder
    return folders


def mounts_of(container: Object, volumes: dict[str, Path], specs: list[Object]) -> tuple[Mount, ...]:
    """Return the mounts of a container.

    Args:
        container: The container's spec.
        volumes: Folders from :func:`set_up_volumes`.
        specs: The pod's volumes as in its spec.
    """
    contents = {spec["name"] for spec in specs if "secret" in spec or "configMap" in spec}
    mounts = []
    for mount in container.get("volumeMounts") or []:
        source = volumes[mount["name"]] / mount.get("subPath", "")
        if not source.exists():
            source.mkdir(parents=True)
            source.chmod(0o777)
        # Secrets and config maps are always read-only since Kubernetes 1.9.6.
        read_only = bool(mount.get("readOnly")) or mount["name"] in contents
        mounts.append(Mount(source, os.path.normpath(mount["mountPath"]), read_only))
    return tuple(mounts)


def _set_up(store: Store, namespace: str, volume: Object, folder: Path) -> None:
    if "emptyDir" in volume:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
        return
    if "secret" in volume:
        source = volume["secret"]
        found = store.get(SECRETS, namespace, source.get("secretName", ""))
        data = {key: base64.b64decode(value) for key, value in ((found or {}).get("data") or {}).items()}
        missing = f'secret "{source.get("secretName", "")}" not found'
    elif "configMap" in volume:
        source = volume["configMap"]
        found = store.get(CONFIG_MAPS, namespace, source.get("name", ""))
        data = {key: value.encode() for key, value in ((found or {}).get("data") or {}).items()}
        binary = (found or {}).get("binaryData") or {}
        data |= {key: base64.b64decode(value) for key, value in binary.items()}
        missing = f'configmap "{source.get("name", "")}" not found'
    else:
        kinds = ", ".join(key for key in volume if key != "name")
        raise VolumeError(f"the local cluster has no volumes of kind {kinds}")
    if found is None and not source.get("optional"):
        raise VolumeError(missing)
    _write(data, source, folder)


def _write(data: dict[str, bytes], source: Object, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    items = source.get("items") or [{"key": key, "path": key} for key in data]
    for item in items:
        if item["key"] not in data:
            if source.get("optional"):
                continue
            raise VolumeError(f"references non-existent config key: {item['key']}")
        path = folder / item["path"]
        if ".." in path.parts or folder not in path.parents:
            raise VolumeError(f"invalid path {item['path']}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data[item["key"]])
        path.chmod(item.get("mode", source["defaultMode"]) & 0o777)
