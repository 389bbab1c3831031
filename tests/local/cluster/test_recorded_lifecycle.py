"""One pod from create to deleted, against the recording of a real cluster."""

import json
from collections.abc import Callable
from typing import Any

from .client import Client
from .normal import normal, normal_pod

Recording = Callable[[str], list[dict[str, Any]]]
_PODS = "/api/v1/namespaces/rec/pods"


async def test_answers_along_a_pods_life_are_as_recorded(client: Client, recording: Recording) -> None:
    steps = [step for step in recording("pod-lifecycle") if "request" in step]
    for step in steps:
        request = step["request"]
        if (
            request["path"] == f"{_PODS}/life"
            and request["method"] == "GET"
            and step["response"]["status"] == 200
        ):
            await client.ready("life")
        if step["note"] == "get after deletion: 404":
            await client.until(f"{_PODS}?watch=1&resourceVersion=1", lambda event: event["type"] == "DELETED")
        answer = await client.request(request["method"], request["path"], request["body"])
        assert answer.status == step["response"]["status"], step["note"]
        assert answer.content_type == step["response"]["headers"]["content-type"]
        assert _comparable(answer.body) == _comparable(step["response"]["body"]), step["note"]


async def test_the_watch_of_a_whole_life_is_as_recorded(client: Client, recording: Recording) -> None:
    # The watch from an old resourceVersion recorded every version of the pod, from its creation on.
    old = next(step for step in recording("api-errors") if "410" in step["note"])
    recorded = [json.loads(line) for line in old["response"]["body"].splitlines()]
    create = recording("pod-lifecycle")[0]["request"]
    await client.create(create["path"], create["body"])
    await client.ready("life")
    await client.request("DELETE", f"{_PODS}/life", {"gracePeriodSeconds": 1})
    seen = await client.until(f"{_PODS}?watch=1&resourceVersion=1", lambda event: event["type"] == "DELETED")
    assert [event["type"] for event in seen] == [event["type"] for event in recorded]
    for number, (ours, theirs) in enumerate(zip(seen, recorded, strict=True)):
        assert normal_pod(ours["object"]) == normal_pod(theirs["object"]), f"event {number}"


def _comparable(body: dict[str, Any]) -> Any:
    if body["kind"] == "Pod":
        return normal_pod(body)
    if body["kind"] == "PodList":
        return {**normal(body), "items": [normal_pod(item) for item in body["items"]]}
    return normal(body)
