"""The pod security standards, with the messages of the admission plugin.

Standards: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from collections.abc import Callable, Iterable
from typing import Any

from . import Object

_BASELINE_CAPABILITIES = frozenset(
    [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
)
_RESTRICTED_VOLUMES = frozenset(
    [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ]
)
_SECCOMP = ("RuntimeDefault", "Localhost")


def restricted_violations(spec: Object, *, baseline_only: bool = False) -> list[str]:
    """Return how a pod's spec violates the *restricted* standard, or only the *baseline* standard.

    Args:
        spec: The spec of the pod.
        baseline_only: Whether to check only the weaker *baseline* standard.
    """
    containers = [*(spec.get("initContainers") or []), *spec["containers"]]
    pod = spec.get("securityContext") or {}
    found = _baseline(spec, containers, narrow=not baseline_only)
    if not baseline_only:
        found += _restricted(spec, pod, containers)
    return [text for _, text in sorted(found, key=lambda item: item[0])]


def _baseline(spec: Object, containers: list[Object], *, narrow: bool) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    shared = [f"{key}=true" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    if shared:
        found.append((0, f"host namespaces ({', '.join(shared)})"))
    privileged = _names(containers, lambda security: bool(security.get("privileged")))
    if privileged:
        found.append((1, f"privileged ({_must(privileged)} not set securityContext.privileged=true)"))
    if not narrow:
        extra = {
            name
            for container in containers
            for name in _capabilities(container, "add")
            if name not in _BASELINE_CAPABILITIES
        }
        if extra:
            listed = ", ".join(f'"{name}"' for name in sorted(extra))
            owners = _names(containers, lambda security: bool(set(_added(security)) & extra))
            must = f"{_must(owners)} not include {listed} in securityContext.capabilities.add"
            found.append((2, f"non-default capabilities ({must})"))
    paths = [volume["name"] for volume in spec.get("volumes") or [] if "hostPath" in volume]
    if paths:
        listed = ", ".join(f'"{name}"' for name in paths)
        found.append((5, f"hostPath volumes (volume{'s' if len(paths) > 1 else ''} {listed})"))
    ports = [
        str(port["hostPort"])
        for item in containers
        for port in item.get("ports") or []
        if port.get("hostPort")
    ]
    if ports:
        found.append((6, f"hostPort ({', '.join(ports)})"))
    return found


def _restricted(spec: Object, pod: Object, containers: list[Object]) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    escalating = _names(containers, lambda security: security.get("allowPrivilegeEscalation") is not False)
    if escalating:
        must = f"{_must(escalating)} set securityContext.allowPrivilegeEscalation=false"
        found.append((3, f"allowPrivilegeEscalation != false ({must})"))
    keeping = _names(containers, lambda security: "ALL" not in _dropped(security))
    adding = _names(containers, lambda security: any(name != "NET_BIND_SERVICE" for name in _added(security)))
    faults = [f'{_must(keeping)} set securityContext.capabilities.drop=["ALL"]'] if keeping else []
    if adding:
        wrong = {
            name for item in containers for name in _capabilities(item, "add") if name != "NET_BIND_SERVICE"
        }
        listed = ", ".join(f'"{name}"' for name in sorted(wrong))
        faults.append(f"{_must(adding)} not include {listed} in securityContext.capabilities.add")
    if faults:
        found.append((4, f"unrestricted capabilities ({'; '.join(faults)})"))
    kinds = [
        (volume["name"], kind)
        for volume in spec.get("volumes") or []
        for kind in volume
        if kind != "name" and kind not in _RESTRICTED_VOLUMES
    ]
    if kinds:
        volumes = ", ".join(f'volume "{name}" uses restricted volume type "{kind}"' for name, kind in kinds)
        found.append((7, f"restricted volume types ({volumes})"))
    found += _non_root(pod, containers)
    found += _seccomp(pod, containers)
    return found


def _non_root(pod: Object, containers: list[Object]) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    wrong = _names(
        containers, lambda security: security.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True
    )
    if wrong:
        must = f"pod or {_must(wrong)} set securityContext.runAsNonRoot=true"
        found.append((8, f"runAsNonRoot != true ({must})"))
    roots = _names(containers, lambda security: security.get("runAsUser") == 0)
    if pod.get("runAsUser") == 0:
        found.append((9, "runAsUser=0 (pod must not set runAsUser=0)"))
    elif roots:
        found.append((9, f"runAsUser=0 ({_must(roots)} not set runAsUser=0)"))
    return found


def _seccomp(pod: Object, containers: list[Object]) -> list[tuple[int, str]]:
    default = (pod.get("seccompProfile") or {}).get("type")
    wrong = _names(
        containers, lambda item: (item.get("seccompProfile") or {}).get("type", default) not in _SECCOMP
    )
    if not wrong:
        return []
    must = f'pod or {_must(wrong)} set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return [(10, f"seccompProfile ({must})")]


def _names(containers: Iterable[Object], test: Callable[[Any], bool]) -> list[str]:
    return [item["name"] for item in containers if test(item.get("securityContext") or {})]


def _must(names: list[str]) -> str:
    listed = ", ".join(f'"{name}"' for name in names)
    return f"container{'s' if len(names) > 1 else ''} {listed} must"


def _capabilities(container: Object, part: str) -> list[str]:
    found: list[str] = ((container.get("securityContext") or {}).get("capabilities") or {}).get(part) or []
    return found


def _added(security: Object) -> list[str]:
    found: list[str] = (security.get("capabilities") or {}).get("add") or []
    return found


def _dropped(security: Object) -> list[str]:
    found: list[str] = (security.get("capabilities") or {}).get("drop") or []
    return found
