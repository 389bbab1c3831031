"""What we read of Kubernetes' objects is there: each field has its place in the official client's model."""

from __future__ import annotations

import inspect
from typing import Any, is_typeddict

import kubernetes.aio.client
import pytest

from shared.kube.api import objects

MODELS = {
    "ObjectMeta": "V1ObjectMeta",
    "Object": "V1Pod",
    "ListMeta": "V1ListMeta",
    "ObjectList": "V1PodList",
    "Words": "V1ContainerStateWaiting",
    "Condition": "V1PodCondition",
    "Terminated": "V1ContainerStateTerminated",
    "ContainerState": "V1ContainerState",
    "ContainerStatus": "V1ContainerStatus",
    "PodStatus": "V1PodStatus",
    "Container": "V1Container",
    "PodSpec": "V1PodSpec",
    "Pod": "V1Pod",
    "Secret": "V1Secret",
    "PodTemplate": "V1PodTemplate",
    "Status": "V1Status",
}


def kinds() -> dict[str, Any]:
    return {name: kind for name, kind in inspect.getmembers(objects) if is_typeddict(kind)}


def test_every_kind_has_a_model() -> None:
    assert set(kinds()) == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_every_field_that_we_read_is_one_of_kubernetes(name: str) -> None:
    model = getattr(kubernetes.aio.client, MODELS[name])
    assert set(kinds()[name].__annotations__) <= set(model.attribute_map.values())
