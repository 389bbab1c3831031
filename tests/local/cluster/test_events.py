"""Events: how long they are kept, how they count, and how they are watched."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from local.cluster import LocalCluster
from local.cluster.controllers.expiry import expire_events
from local.cluster.kubelet.link import Link
from local.cluster.kubelet.recorder import Recorder
from local.cluster.objects.resources import EVENTS
from local.cluster.store import Store

from .client import Client, pod_manifest
from .replay import Recording, ours

_POD = {"metadata": {"name": "p", "namespace": "rec", "uid": "u", "resourceVersion": "1"}}


async def test_an_event_that_expired_comes_back_with_a_new_uid_and_counts_on() -> None:
    store = Store(100)
    recorder = Recorder(store, "local", Link())
    with store.subscribe() as changes:
        expiring = asyncio.create_task(expire_events(store, 0.05))
        await asyncio.sleep(0)
        seen: list[tuple[str, str, str, int]] = []
        for _ in range(3):
            recorder.kubelet(_POD, "BackOff", "again")
            while True:
                change = await asyncio.wait_for(changes.get(), 300)
                metadata = change.object["metadata"]
                seen.append((change.type, metadata["name"], metadata["uid"], change.object["count"]))
                if change.type == "DELETED":
                    break
        expiring.cancel()
    assert [(kind, count) for kind, _, _, count in seen] == [
        (kind, count) for count in (1, 2, 3) for kind in ("ADDED", "DELETED")
    ]
    assert len({name for _, name, _, _ in seen}) == 1
    assert len({uid for _, _, uid, _ in seen}) == 3


async def test_an_event_that_repeats_is_kept_from_its_last_time_on() -> None:
    store = Store(100)
    recorder = Recorder(store, "local", Link())
    expiring = asyncio.create_task(expire_events(store, 3600))
    await asyncio.sleep(0)
    for _ in range(5):
        recorder.kubelet(_POD, "BackOff", "again")
        await asyncio.sleep(0)
    (event,) = store.items(EVENTS)
    assert event["count"] == 5
    expiring.cancel()


async def test_a_cluster_forgets_its_events_when_it_is_told_to(tmp_path: Path) -> None:
    cluster = LocalCluster(tmp_path, namespaces=False, event_ttl_s=0.05)
    async with cluster, aiohttp.ClientSession() as session:
        client = Client(cluster, session)
        path = "/api/v1/namespaces/default/events"
        body = {"metadata": {"name": "e"}, "involvedObject": {"namespace": "default"}, "reason": "R"}
        made = await client.create(path, body)
        since = made["metadata"]["resourceVersion"]
        await client.until(
            f"{path}?watch=1&resourceVersion={since}", lambda event: event["type"] == "DELETED"
        )
        assert (await client.request("GET", f"{path}/e")).status == 404


@pytest.mark.parametrize("resource", ["pods", "events"])
async def test_bookmarks_come_for_pods_and_not_for_events(
    client: Client, recording: Recording, resource: str
) -> None:
    recorded = {step["note"].partition(",")[0]: step for step in ours(recording("bookmarks"))}
    told = {event["type"] for event in recorded[resource]["response"]["body"]}
    path = f"/api/v1/namespaces/rec/{resource}?watch=1&allowWatchBookmarks=true&timeoutSeconds=1"
    async with client.watch(path) as events:
        assert {event["type"] async for event in events} == told


async def test_what_began_before_a_compaction_is_answered_as_recorded(
    client: Client, recording: Recording
) -> None:
    steps = {step["note"]: step["response"] for step in ours(recording("events"))}
    await client.create("/api/v1/namespaces/rec/pods", pod_manifest("p", nodeSelector={"no": "where"}))
    for name in ("a", "b"):
        body = {"metadata": {"name": name}, "involvedObject": {"namespace": "rec"}}
        await client.create("/api/v1/namespaces/rec/events", body)
    page = await client.get("/api/v1/namespaces/rec/events?limit=1")
    await client.create("/api/v1/namespaces/rec/configmaps", {"metadata": {"name": "later"}})
    client.cluster.compact()
    for resource in ("events", "pods"):
        recorded = steps[f"{resource} since version 1"]["body"]
        path = f"/api/v1/namespaces/rec/{resource}?watch=1&resourceVersion=1"
        (event,) = await client.until(path, lambda event: event["type"] == "ERROR")
        assert _words(event) == _words(recorded)
    recorded = steps["events, continued after compaction"]["body"]
    again = f"/api/v1/namespaces/rec/events?limit=500&continue={page['metadata']['continue']}"
    answer = await client.request("GET", again)
    assert answer.status == 410
    assert {**answer.body, "metadata": {}} == {**recorded, "metadata": {}}
    # The token in the refusal gives the rest, of another moment.
    token = answer.body["metadata"]["continue"]
    rest = await client.get(f"/api/v1/namespaces/rec/events?limit=500&continue={token}")
    assert len(rest["items"]) == page["metadata"]["remainingItemCount"]
    assert (await client.request("GET", "/api/v1/namespaces/rec/events")).status == 200


def _words(event: Any) -> Any:
    status = event["object"]
    return {**status, "message": status["message"].partition("(")[0]}


async def test_an_event_about_another_namespace_is_refused_as_recorded(
    client: Client, recording: Recording
) -> None:
    step = next(each for each in ours(recording("events")) if each["note"] == "create in the wrong namespace")
    answer = await client.request("POST", step["request"]["path"], step["request"]["body"])
    assert (answer.status, answer.body) == (422, step["response"]["body"])
