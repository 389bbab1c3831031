"""Deployments and what belongs to them, against a recording of a real cluster."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from .client import Client, pod_manifest
from .replay import Recording, Step, ours, replayed, send

_APPS = "/apis/apps/v1/namespaces/rec"
_WEB = f"{_APPS}/deployments/web"
_MERGE = "application/merge-patch+json"
_SETS = f"{_APPS}/replicasets"
_PODS, _MAPS = (f"/api/v1/namespaces/rec/{name}" for name in ("pods", "configmaps"))


def _named(steps: list[Step]) -> dict[str, Step]:
    return {step["note"]: step for step in steps}


def _plain(value: Any) -> Any:
    """Return a status with the names of its own replica sets and pods replaced, conditions by type."""
    text = re.sub(r"web-[a-z0-9]+(-[a-z0-9]{5})?", "web-NAME", json.dumps(value))
    status: Any = json.loads(re.sub(r"\d{4}-\d\d-\d\dT[0-9:]+Z", "TIME", text))
    # How many pods are just ending is a matter of the moment.
    status.pop("terminatingReplicas", None)
    return {**status, "conditions": {each["type"]: each for each in status.get("conditions", [])}}


async def _until(client: Client, path: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    name = path.rpartition("/")[2]
    where = f"{path.rpartition('/')[0]}?watch=1&fieldSelector=metadata.name%3D{name}"
    events = await client.until(where, lambda event: condition(event["object"]))
    found: dict[str, Any] = events[-1]["object"]
    return found


async def _settles(client: Client, step: Step) -> None:
    """Wait until the Deployment's status is as recorded."""
    wanted = _plain(step["response"]["body"]["status"])
    await _until(client, _WEB, lambda found: _plain(found["status"]) == wanted)


async def test_a_deployment_scales_is_refused_and_rolls_as_recorded(
    client: Client, recording: Recording
) -> None:
    steps = _named(ours(recording("deployments")))
    for note in ("a quota of two pods", "create"):
        assert (await send(client, steps[note])).status == 201
    await _settles(client, steps["available"])
    made = await client.get(_SETS)
    owner = made["items"][0]["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("Deployment", "web", True)
    for note in ("scale", "scale to three"):
        our_answer, recorded = await replayed(client, steps[note])
        assert our_answer == recorded
    await _settles(client, steps["the quota refuses the third"])
    found = (await client.get(_SETS))["items"]
    assert _plain(found[0]["status"]) == _plain(
        steps["replica set refused"]["response"]["body"]["items"][0]["status"]
    )
    old = (await client.request("GET", f"{_WEB}/scale")).body
    answer = await client.request("PUT", f"{_WEB}/scale", {**old, "spec": {"replicas": 1}})
    assert answer.body["spec"] == {"replicas": 1}
    await _settles(client, steps["scaled down"])
    refused = await client.request("PUT", f"{_WEB}/scale", {**old, "spec": {"replicas": 1}})
    assert (refused.status, refused.body) == (409, steps["scale by an old version"]["response"]["body"])
    for note in ("scale to less than nothing", "scale of a missing one"):
        our_answer, recorded = await replayed(client, steps[note])
        assert our_answer == recorded
    assert (await send(client, steps["another template"])).status == 200
    await _settles(client, steps["rolled"])
    assert len((await client.get(_SETS))["items"]) == 2
    for note in ("selector changed", "recreate with rolling parameters"):
        our_answer, recorded = await replayed(client, steps[note])
        assert our_answer == recorded


async def test_recreate_ends_the_last_old_pod_before_it_makes_a_new_one(
    client: Client, recording: Recording
) -> None:
    steps = _named(ours(recording("deployments")))
    body = steps["create"]["request"]["body"]
    body["spec"] |= {"replicas": 2, "strategy": {"type": "Recreate"}}
    await client.create(f"{_APPS}/deployments", body)
    await _until(client, _WEB, lambda found: found["status"].get("availableReplicas") == 2)
    pods = "/api/v1/namespaces/rec/pods"
    listed = await client.get(pods)
    old = {pod["metadata"]["name"] for pod in listed["items"]}
    assert len(old) == 2
    assert (await send(client, steps["a third template"])).status == 200
    since = listed["metadata"]["resourceVersion"]
    new: set[str] = set()
    gone: set[str] = set()

    def seen(event: dict[str, Any]) -> bool:
        name = event["object"]["metadata"]["name"]
        if event["type"] == "DELETED":
            gone.add(name)
        elif name not in old:
            new.add(name)
            assert gone == old
        return len(new) == 2

    await client.until(f"{pods}?watch=1&resourceVersion={since}", seen)


async def test_a_rollout_that_does_not_progress_is_told_and_what_worked_stays(
    client: Client, recording: Recording
) -> None:
    steps = _named(ours(recording("deployments")))
    await send(client, steps["create"])
    await _until(client, _WEB, lambda found: found["status"].get("availableReplicas") == 1)
    body = steps["an image that is missing"]["request"]["body"]
    body["spec"]["progressDeadlineSeconds"] = 1
    await client.request("PATCH", _WEB, body, content_type=_MERGE)
    told = await _until(
        client,
        _WEB,
        lambda found: any(each["status"] == "False" for each in found["status"]["conditions"]),
    )
    conditions = {each["type"]: each for each in told["status"]["conditions"]}
    recorded = steps["progress deadline exceeded"]["response"]["body"]["status"]["conditions"]
    wanted = next(each for each in recorded if each["type"] == "Progressing")
    assert _plain({"conditions": [conditions["Progressing"]]}) == _plain({"conditions": [wanted]})
    # The old pod is kept: a rolling update of one pod may add one, and take none away.
    assert conditions["Available"]["status"] == "True"
    assert told["status"]["availableReplicas"] == 1


async def test_what_belongs_to_a_deployment_goes_with_it_or_stays_without_it(
    client: Client, recording: Recording
) -> None:
    steps = _named(ours(recording("deployments")))
    for policy in ("Orphan", "Foreground", "Background"):
        await send(client, steps["create"])
        await _until(client, _WEB, lambda found: found["status"].get("availableReplicas") == 1)
        # After the first round this one adopts what was left.
        assert len((await client.get(_SETS))["items"]) == 1
        version = (await client.get(_WEB))["metadata"]["resourceVersion"]
        await client.request("DELETE", _WEB, {"propagationPolicy": policy})
        await client.until(
            f"{_APPS}/deployments?watch=1&resourceVersion={version}", lambda event: event["type"] == "DELETED"
        )
        if policy == "Orphan":
            left = (await client.get(_SETS))["items"]
            assert ["ownerReferences" in item["metadata"] for item in left] == [False]
    listed = await client.get("/api/v1/namespaces/rec/pods")
    for pod in listed["items"]:
        name = pod["metadata"]["name"]
        since = listed["metadata"]["resourceVersion"]
        query = f"watch=1&resourceVersion={since}&fieldSelector=metadata.name%3D{name}"
        await client.until(f"/api/v1/namespaces/rec/pods?{query}", lambda event: event["type"] == "DELETED")
    assert (await client.get(_SETS))["items"] == []


async def test_what_has_no_owner_that_lives_is_deleted(client: Client) -> None:
    maps = "/api/v1/namespaces/rec/configmaps"
    owner = await client.create(maps, {"metadata": {"name": "owner"}})
    living = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    dead = {**living, "name": "nobody", "uid": "00000000-0000-4000-8000-000000000000"}
    made = await client.create(maps, {"metadata": {"name": "both", "ownerReferences": [living, dead]}})
    await client.create(maps, {"metadata": {"name": "none", "ownerReferences": [dead]}})
    since = made["metadata"]["resourceVersion"]
    gone = f"{maps}?watch=1&resourceVersion={since}"
    await client.until(
        gone, lambda event: event["type"] == "DELETED" and event["object"]["metadata"]["name"] == "none"
    )
    await client.request("DELETE", f"{maps}/owner")
    await client.until(
        gone, lambda event: event["type"] == "DELETED" and event["object"]["metadata"]["name"] == "both"
    )


@pytest.mark.parametrize("kind", ["ConfigMap", "Pod"])
async def test_an_owner_of_any_kind_goes_after_the_last_of_its_dependents(client: Client, kind: str) -> None:
    """A dependent may go at once, or, as a pod does, some time after the owner's deletion."""
    owner = await client.create(_MAPS, {"metadata": {"name": "owner"}})
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    metadata = {"name": "dependent", "ownerReferences": [reference]}
    path = _PODS if kind == "Pod" else _MAPS
    await client.create(path, {**(pod_manifest("p") if kind == "Pod" else {}), "metadata": metadata})
    marked = await client.request("DELETE", f"{_MAPS}/owner?propagationPolicy=Foreground")
    since = marked.body["metadata"]["resourceVersion"]
    watch = f"{_MAPS}?watch=1&fieldSelector=metadata.name%3Downer&resourceVersion={since}"
    await client.until(watch, lambda event: event["type"] == "DELETED")
    assert (await client.request("GET", f"{path}/dependent")).status == 404
