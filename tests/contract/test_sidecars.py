"""A session in a pod with a sidecar: when its own container ends, every answer says so, whatever goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from shared.kube.api.client import KubeApi
from tests.contract.conftest import Target, gateway_settings, target_in
from tests.contract.test_cleanup import SCHEDULER, Place, cleanup, get, of
from tests.contract.test_sessions import pod_path
from tests.support import laptop
from tests.support.client import Client, Json
from tests.support.needs import needs_here
from tests.support.patience import PATIENCE

TEMPLATE = "sidecars"
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
ENDED = "Completed: the container ended with exit code 0"


@pytest.fixture(scope="module")
def place(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("sidecars")
    with target_in(f"{target.namespace}-sidecars", target.kubeconfig, folder) as own:
        settings = gateway_settings(own, folder) | {
            "CLEANUP_CALLERS": SCHEDULER,
            "K8S_POD_TEMPLATE": TEMPLATE,
        }
        with laptop.gateway(folder / "gateway.log", **settings) as (_, url):
            yield Place(url, own.namespace, folder / "sessions.db")


async def with_one_container_ended(client: Client, kube: KubeApi) -> Json:
    """A session whose own container has ended, while the sidecar goes on."""
    session = await client.create()
    await client.execute(session, ["sh", "-c", "kill -TERM 1"])
    async with asyncio.timeout(PATIENCE):
        while True:
            status = (await kube.request("GET", pod_path(session)))["status"]
            if any("terminated" in one["state"] for one in status["containerStatuses"]):
                assert status["phase"] == "Running"
                return session
            await asyncio.sleep(0.1)


# In a process group, process 1 is the machine's.
@needs_here("namespaces")
async def test_a_session_ends_with_its_own_container_and_exec_get_and_cleanup_say_the_same(
    client: Client, kube: KubeApi, place: Place, target: Target
) -> None:
    sidecar: Json = {"name": "agent", "image": target.image, "command": ["sleep", "3600"]}
    sidecar |= {"securityContext": RESTRICTED}
    body = {"metadata": {"name": TEMPLATE}, "template": {"spec": {"containers": [sidecar]}}}
    await kube.request("POST", f"/api/v1/namespaces/{place.namespace}/podtemplates", body=body)
    client = Client(client.http, place.url, client.user)

    looked_at, left = [await with_one_container_ended(client, kube) for _ in range(2)]
    path = f"/v1/sessions/{looked_at['id']}/exec"
    status, problem, _ = await client.call("POST", path, {"command": ["true"]})
    assert (status, problem["reason"]) == (404, "POD_NOT_RUNNING")
    assert ENDED in problem["detail"]
    seen = await get(client, looked_at)
    assert (seen["state"], seen["reason"]) == ("failed", ENDED)

    assert of(await cleanup(client), left["id"]) == [("failed", ENDED)]
    assert (await get(client, left))["reason"] == ENDED
    for session in (looked_at, left):
        await client.delete(session)
