"""A node that is lost and comes back, and addresses of pods, against a recording of a real cluster."""

import asyncio
import socket
import sys
from typing import Any

import aiohttp
import pytest

from local.cluster.kubelet.addresses import Addresses
from tests.support.needs import needs

from .client import Client, exec_path, pod_manifest
from .normal import normal
from .replay import Recording, ours

_PODS = "/api/v1/namespaces/rec/pods"
_KEYS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def _tolerations(seconds: int) -> list[dict[str, Any]]:
    head = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}
    return [{"key": key, **head} for key in _KEYS]


def _conditions(item: dict[str, Any]) -> dict[str, Any]:
    return {each["type"]: normal(each) for each in item["status"]["conditions"]}


async def test_a_lost_node_is_told_as_recorded_and_its_pods_end_when_it_is_back(
    client: Client, recording: Recording
) -> None:
    steps = {step["note"]: step["response"] for step in ours(recording("node-lost"))}
    await client.create(_PODS, pod_manifest("stays", tolerations=_tolerations(300)))
    await client.create(_PODS, pod_manifest("evicted", tolerations=_tolerations(0)))
    for name in ("stays", "evicted"):
        await client.ready(name)
    client.cluster.lose_node()
    node, told = await client.get("/api/v1/nodes/local"), steps["the node"]["body"]
    assert normal(node["spec"]["taints"]) == normal(told["spec"]["taints"])
    ready, wanted = _conditions(node)["Ready"], _conditions(told)["Ready"]
    assert ready == wanted
    stays = await client.get(f"{_PODS}/stays")
    assert _conditions(stays) == _conditions(steps["a pod that tolerates it for five minutes"]["body"])
    log = await client.request("GET", f"{_PODS}/stays/log")
    assert (log.status, log.body["message"].partition(": ")[2]) == (
        500,
        steps["log"]["body"]["message"].partition(": ")[2],
    )
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with client.connect(exec_path("stays", "true")):
            pass
    assert refused.value.status == 500
    await client.create(_PODS, pod_manifest("new"))
    new = await client.pod_until("new", lambda pod: bool(pod["status"].get("conditions")))
    assert _conditions(new) == _conditions(steps["a new pod"]["body"])
    evicted = await client.pod_until("evicted", lambda pod: "deletionTimestamp" in pod["metadata"])
    assert _conditions(evicted) == _conditions(steps["a pod that tolerated it for five seconds"]["body"])
    await client.request("DELETE", f"{_PODS}/stays?gracePeriodSeconds=1")
    await client.request("DELETE", f"{_PODS}/evicted?gracePeriodSeconds=0")
    assert (await client.request("GET", f"{_PODS}/evicted")).status == 404
    assert (await client.get(f"{_PODS}/stays"))["status"]["phase"] == "Running"
    client.cluster.return_node()
    node = await client.get("/api/v1/nodes/local")
    assert "taints" not in node["spec"]
    assert _conditions(node)["Ready"] == _conditions(steps["the node is back"]["body"])["Ready"]
    await client.ready("new")
    async with asyncio.timeout(300):
        while (await client.request("GET", f"{_PODS}/stays")).status != 404:
            await asyncio.sleep(0.05)


async def test_a_pod_is_ready_again_when_its_node_is_back_and_went_on_meanwhile(client: Client) -> None:
    await client.create(_PODS, pod_manifest("p", "sh", "-c", "trap 'exit 3' TERM; sleep 3600 & wait"))
    before = await client.ready("p")
    client.cluster.lose_node()
    client.cluster.return_node()
    after = await client.ready("p")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["containerStatuses"] == before["status"]["containerStatuses"]


@needs("loopback network")
async def test_every_pod_has_an_address_of_its_own_on_which_one_can_listen(client: Client) -> None:
    source = {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    addresses = []
    for name in ("a", "b"):
        await client.create(_PODS, pod_manifest(name, container={"env": [source]}))
        addresses.append((await client.ready(name))["status"]["podIP"])
        listed = await client.get(f"{_PODS}?fieldSelector=status.podIP%3D{addresses[-1]}")
        assert [item["metadata"]["name"] for item in listed["items"]] == [name]
        told = await client.exec(name, "sh", "-c", "echo $IP")
        assert told.stdout.decode().strip() == addresses[-1]
    # Pods share the machine's network, so what this process may do, those of the pods may do.
    with (
        socket.create_server((addresses[0], 0)) as first,
        socket.create_server((addresses[1], first.getsockname()[1])),
    ):
        assert addresses[0] != addresses[1]


def test_clusters_of_one_machine_have_different_networks_and_give_addresses_back() -> None:
    pods = [{"metadata": {"uid": str(number)}, "spec": {}} for number in range(300)]
    with Addresses() as first, Addresses() as second:
        given = [addresses.of(pod) for addresses in (first, second) for pod in pods]
        assert [first.of(pod) for pod in pods] == given[:300]
        assert first.of({"metadata": {"uid": "x"}, "spec": {"hostNetwork": True}}) == "127.0.0.1"
        if sys.platform == "linux":
            assert len(set(given)) == 600
        first.release(pods[0])
        assert first.of({"metadata": {"uid": "new"}, "spec": {}}) not in given[1:]
