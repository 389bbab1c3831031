"""The objects of Kubernetes that we read, as far as we read them.

Every field may be absent, and a list may be null: the API leaves out what is empty
(https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.36/). A server in the API's place may
send anything, so code that decides something by a value checks the value where it reads it.
"""

from __future__ import annotations

from typing import Any, Generic, TypedDict, TypeVar

_Item = TypeVar("_Item")


class ObjectMeta(TypedDict, total=False):
    """meta/v1 ObjectMeta. Times are RFC 3339."""

    name: str
    namespace: str
    uid: str
    resourceVersion: str
    labels: dict[str, str]
    annotations: dict[str, str]
    creationTimestamp: str
    deletionTimestamp: str


class Object(TypedDict, total=False):
    """Any object, as meta/v1 PartialObjectMetadata has it."""

    metadata: ObjectMeta


ListMeta = TypedDict("ListMeta", {"resourceVersion": str, "continue": str}, total=False)
"""meta/v1 ListMeta."""


class ObjectList(TypedDict, Generic[_Item], total=False):
    """A page of a list."""

    metadata: ListMeta
    items: list[_Item] | None


class Words(TypedDict, total=False):
    """The two fields in which many objects describe a state."""

    reason: str
    message: str


class Condition(Words, total=False):
    """core/v1 PodCondition."""

    type: str
    status: str
    lastTransitionTime: str


class Terminated(Words, total=False):
    """core/v1 ContainerStateTerminated."""

    exitCode: int
    finishedAt: str


class ContainerState(TypedDict, total=False):
    """core/v1 ContainerState."""

    waiting: Words
    running: Words
    terminated: Terminated


class ContainerStatus(TypedDict, total=False):
    """core/v1 ContainerStatus."""

    name: str
    ready: bool
    started: bool
    state: ContainerState | None


class PodStatus(Words, total=False):
    """core/v1 PodStatus."""

    phase: str
    conditions: list[Condition] | None
    initContainerStatuses: list[ContainerStatus] | None
    containerStatuses: list[ContainerStatus] | None


class Container(TypedDict, total=False):
    """core/v1 Container."""

    name: str
    restartPolicy: str


class PodSpec(TypedDict, total=False):
    """core/v1 PodSpec. We write it ourselves; read is what an operator or a webhook may have added."""

    initContainers: list[Container] | None
    terminationGracePeriodSeconds: int


class Pod(Object, total=False):
    """core/v1 Pod."""

    spec: PodSpec
    status: PodStatus


class Secret(Object, total=False):
    """core/v1 Secret. Values are base64."""

    data: dict[str, str] | None


class PodTemplate(Object, total=False):
    """core/v1 PodTemplate. Its content is the operator's and is passed on."""

    template: dict[str, Any] | None


class Status(Words, total=False):
    """meta/v1 Status: the body of a refusal."""

    metadata: ListMeta
