"""What a waiting container waits for, and whether that can still pass.

The kubelet tries again whatever failed, so a wait is final only where another try gives the same answer:
the message decides, because one reason covers both (``CreateContainerError`` is "no command specified" as
well as "failed to reserve container name"). A container whose wait is not final may still start.
"""

from __future__ import annotations

import dataclasses
import re

from shared.reasons import Reason

_NAMES = re.compile(r'"[^"\s]*"')
"""Quoted names: an image may be called ``access-denied``."""

_PASSES = re.compile(
    r"\b(?:timeout|timed out|deadline exceeded|too ?many ?requests|rate limit|quota exceeded|"
    r"temporar(?:y|ily)|try again|unavailable|connection (?:refused|reset))\b",
    re.IGNORECASE,
)
"""Words of what passes. They win: a registry denies a pull because a quota is used up for now."""


_ALWAYS = (re.compile(""),)

_REGISTRY_SAYS_NO = re.compile(
    r"not found|not exist|manifest unknown|unauthorized|denied|forbidden|no match for platform|"
    r"no matching manifest|invalid reference",
    re.IGNORECASE,
)
"""github.com/containerd/containerd core/remotes/docker (resolver.go, errors.go), and the error codes of
the distribution specification (MANIFEST_UNKNOWN, NAME_UNKNOWN, UNAUTHORIZED, DENIED)."""

_SIGNATURE = re.compile(
    r"signature was required|no signature|invalid signature|rejected by policy|not trusted", re.IGNORECASE
)
"""github.com/containers/image signature/policy_eval.go, which CRI-O passes on."""

_NOT_ROOT = re.compile(r"runAsNonRoot|non-root policy", re.IGNORECASE)
"""kubernetes pkg/kubelet/kuberuntime/security_context.go (verifyRunAsNonRoot)."""

_IMAGE_LACKS = re.compile(
    r"no command specified|no command or entrypoint|unable to find (?:user|group)|"
    r"no matching entries in passwd",
    re.IGNORECASE,
)
"""containerd internal/cri/opts (WithProcessArgs), pkg/oci (WithUser); CRI-O server/container_create.go."""

_STARTING = re.compile(r"container process|\bexec: |\bexec container process\b", re.IGNORECASE)
_NO_PROGRAM = re.compile(
    r"executable file not found|no such file or directory|exec format error|permission denied|"
    r"not a directory|is a directory",
    re.IGNORECASE,
)
"""runc libcontainer/standard_init_linux.go, crun src/libcrun: the image has no such program, or cannot run
it. Only where a program is started: the same words about a mount or a socket of the node may pass."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Final:
    """When a wait is final: ``code``, if every one of ``all_of`` is found in the message."""

    code: Reason
    all_of: tuple[re.Pattern[str], ...]


_IMAGE = Reason.IMAGE_UNAVAILABLE
_CONFIG = Reason.CONTAINER_CONFIG_INVALID
_START = Reason.CONTAINER_START_FAILED

_FINAL: dict[str, tuple[_Final, ...]] = {
    # kubernetes pkg/kubelet/images/types.go. The first two are about the pod's own spec. Of the others the
    # registry's answer decides; ImageInspectError and RegistryUnavailable are about the node, and pass.
    "InvalidImageName": (_Final(_IMAGE, _ALWAYS),),
    "ErrImageNeverPull": (_Final(_IMAGE, _ALWAYS),),
    "ErrImagePull": (_Final(_IMAGE, (_REGISTRY_SAYS_NO,)), _Final(_IMAGE, (_SIGNATURE,))),
    "ImagePullBackOff": (_Final(_IMAGE, (_REGISTRY_SAYS_NO,)), _Final(_IMAGE, (_SIGNATURE,))),
    "SignatureValidationFailed": (_Final(_IMAGE, (_SIGNATURE,)),),
    # kubernetes pkg/kubelet/kuberuntime/kuberuntime_container.go. A ConfigMap or Secret that is missing may
    # come, as one that is mounted may; a name that is reserved gets free when the runtime's first try ends
    # (github.com/containerd/containerd/issues/4604).
    "CreateContainerConfigError": (_Final(_CONFIG, (_NOT_ROOT,)),),
    "CreateContainerError": (
        _Final(_CONFIG, (_IMAGE_LACKS,)),
        _Final(_CONFIG, (_NOT_ROOT,)),
        _Final(_START, (_STARTING, _NO_PROGRAM)),
    ),
    "RunContainerError": (
        _Final(_CONFIG, (_IMAGE_LACKS,)),
        _Final(_START, (_STARTING, _NO_PROGRAM)),
    ),
    # kubernetes pkg/kubelet/kuberuntime/kuberuntime_container.go (toKubeContainerStatus).
    "StartError": (_Final(_START, (_STARTING, _NO_PROGRAM)),),
}


def final_code(reason: str, message: str) -> Reason | None:
    """Whether a container that waits can never start.

    Args:
        reason: ``state.waiting.reason`` of the container.
        message: ``state.waiting.message``.

    Returns:
        The code of the failure; None for a wait that may pass.
    """
    said = _NAMES.sub('""', message)
    for final in _FINAL.get(reason, ()):
        if all(pattern.search(said) for pattern in final.all_of):
            return final.code if final.all_of is _ALWAYS or not _PASSES.search(said) else None
    return None
