"""What a cluster leaves behind when it stops: nothing, whatever was going on."""

import asyncio
import contextlib
import gc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from local.cluster import LocalCluster
from local.cluster.api.reads import watch
from local.cluster.api.requests import Target
from local.cluster.objects.resources import CONFIG_MAPS
from local.cluster.store import Store
from tests.support.patience import PATIENCE

from .client import Client, exec_path, pod_manifest

_PODS = "/api/v1/namespaces/rec/pods"


async def _told(client: Client, reason: str) -> None:
    path = "/api/v1/namespaces/rec/events?watch=1"
    await client.until(path, lambda event: event["object"]["reason"] == reason)


async def _runs(client: Client) -> None:
    await client.create(_PODS, pod_manifest("p", activeDeadlineSeconds=3600))
    await client.ready("p")


async def _ends(client: Client) -> None:
    """Its container has got SIGTERM and does not heed it."""
    deaf = pod_manifest("p", "sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    await client.create(_PODS, deaf)
    await client.ready("p")
    await client.request("DELETE", f"{_PODS}/p?gracePeriodSeconds=3600")
    await _told(client, "Killing")


async def _waits_for_a_volume(client: Client) -> None:
    volume = {"name": "v", "secret": {"secretName": "none"}}
    await client.create(_PODS, pod_manifest("p", volumes=[volume]))
    await _told(client, "FailedMount")


async def _waits_for_an_image(client: Client) -> None:
    await client.create(_PODS, pod_manifest("p", container={"image": "localhost:1/none"}))
    await _told(client, "Failed")


async def _is_on_a_lost_node(client: Client) -> None:
    await _runs(client)
    client.cluster.lose_node()
    await client.request("DELETE", f"{_PODS}/p")


@pytest.mark.parametrize(
    "state", [_runs, _ends, _waits_for_a_volume, _waits_for_an_image, _is_on_a_lost_node]
)
async def test_no_task_goes_on_and_no_error_is_lost(
    tmp_path: Path, state: Callable[[Client], Awaitable[None]]
) -> None:
    loop, faults = asyncio.get_running_loop(), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _, context: faults.append(context))
    before = asyncio.all_tasks()
    async with LocalCluster(tmp_path, namespaces=False) as cluster, aiohttp.ClientSession() as http:
        client = Client(cluster, http)
        await client.create("/api/v1/namespaces", {"metadata": {"name": "rec"}})
        await state(client)
    assert asyncio.all_tasks() - before == set()
    gc.collect()
    assert faults == []


async def test_who_still_listens_is_let_go(tmp_path: Path) -> None:
    loop, faults = asyncio.get_running_loop(), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _, context: faults.append(context))
    before = asyncio.all_tasks()
    async with aiohttp.ClientSession() as http, contextlib.AsyncExitStack() as listening:
        async with LocalCluster(tmp_path, namespaces=False) as cluster:
            client = Client(cluster, http)
            await client.create("/api/v1/namespaces", {"metadata": {"name": "rec"}})
            await _runs(client)
            events = await listening.enter_async_context(client.watch(f"{_PODS}?watch=1"))
            await anext(events)
            path = exec_path("p", "sh", "-c", "echo begun; exec sleep 3600")
            socket = await listening.enter_async_context(client.connect(path))
            while b"begun" not in (await socket.receive_bytes()):
                pass
        assert asyncio.all_tasks() - before == set()
    gc.collect()
    assert faults == []


async def test_a_watch_that_is_cancelled_as_a_change_comes_is_over() -> None:
    store = Store(100)

    async def follow() -> None:
        async for event in watch(store, Target("watch", CONFIG_MAPS, "rec", "", "", {})):
            assert event

    watching = asyncio.create_task(follow())
    for name in ("a", "b"):
        await asyncio.sleep(0)
        store.put(CONFIG_MAPS, {"metadata": {"name": name, "namespace": "rec"}})
    watching.cancel()
    await asyncio.wait((watching,), timeout=PATIENCE)
    assert watching.cancelled()


async def test_a_controller_that_failed_is_not_taken_for_one_that_was_stopped(tmp_path: Path) -> None:
    no_time: Any = None
    with pytest.raises(TypeError):
        async with (
            LocalCluster(tmp_path, namespaces=False, event_ttl_s=no_time) as cluster,
            aiohttp.ClientSession() as http,
        ):
            body = {"metadata": {"name": "e"}, "involvedObject": {"namespace": "default"}}
            await Client(cluster, http).create("/api/v1/namespaces/default/events", body)
