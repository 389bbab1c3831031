"""Pods that do not become ready: status and events, against the recording of a real cluster."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from .client import Client
from .normal import normal, normal_pod

Recording = Callable[[str], list[dict[str, Any]]]
_PODS = "/api/v1/namespaces/rec/pods"
# Which of the API's own fields a pod was created without.
_SERVER_FIELDS = ("uid", "resourceVersion", "generation", "creationTimestamp", "namespace")
# Nothing limits memory here, so nothing is killed for it.
_NOT_EMULATED = ("oom",)
_PULL_ERROR = re.compile(r"failed to do request: .*connection refused|the local cluster has no image .* none")


def _recorded(steps: list[dict[str, Any]], name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    pod = next(step for step in steps if step["note"] == name)["response"]["body"]
    events = next((step for step in steps if step["note"] == f"{name}: its events"), None)
    return pod, events["response"]["body"]["items"] if events is not None else []


def _manifest(recorded: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in recorded["metadata"].items() if key not in _SERVER_FIELDS}
    spec = {key: value for key, value in recorded["spec"].items() if key != "nodeName"}
    return {"metadata": metadata, "spec": spec}


def _normal_event(event: dict[str, Any]) -> Any:
    made = normal(event)
    # Every event has a name of its own, and how often it repeats depends on how long it was recorded.
    del made["metadata"]["name"]
    made.pop("count", None)
    made["message"] = _PULL_ERROR.sub("PULL ERROR", made["message"])
    return made


def _without_pull_error(pod: dict[str, Any]) -> dict[str, Any]:
    for status in pod["status"].get("containerStatuses", []):
        waiting = status["state"].get("waiting", {})
        if "message" in waiting:
            waiting["message"] = _PULL_ERROR.sub("PULL ERROR", waiting["message"])
    return pod


@pytest.mark.parametrize(
    "name", ["imgpull", "imgpull-pull", "crash", "badcmd", "unsched", "deadline", "nosecret", "nonroot"]
)
async def test_failing_pods_look_as_recorded(client: Client, recording: Recording, name: str) -> None:
    pod, events = _recorded(recording("pod-failures"), name)
    await client.create(_PODS, _manifest(pod))
    wanted = _without_pull_error(normal_pod(pod))
    seen = await client.pod_until(name, lambda now: _without_pull_error(normal_pod(now)) == wanted)
    assert _without_pull_error(normal_pod(seen)) == wanted
    ours = await client.events_of(name, len(events))
    in_order = [
        _normal_event(event) for event in sorted(ours, key=lambda event: int(event["metadata"]["uid"], 16))
    ]
    recorded = [_normal_event(event) for event in events]
    assert sorted(in_order, key=repr) == sorted(recorded, key=repr)


def test_every_recorded_failure_is_covered(recording: Recording) -> None:
    recorded = {step["note"].partition(":")[0] for step in recording("pod-failures")}
    marked: Any = test_failing_pods_look_as_recorded  # pytest adds what its decorators say
    marks = next(mark for mark in marked.pytestmark if mark.name == "parametrize")
    assert recorded == {*marks.args[1], *_NOT_EMULATED}
