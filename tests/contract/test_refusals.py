"""What a cluster says once in a month: refusals that pass, denials, and answers that are lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from shared.kube.api.client import KubeApi
from shared.kube.api.errors import PatchDoesNotFit
from tests.contract.conftest import Target
from tests.support.client import Client, Json
from tests.support.needs import needs

# A real cluster cannot be told what to answer.
pytestmark = needs("local cluster")

TOLD = "/local/refusals"
CONFLICT = {
    "status": 409,
    "reason": "Conflict",
    "message": 'Operation cannot be fulfilled on resourcequotas "gke-resource-quotas": the object has been '
    "modified; please apply your changes to the latest version and try again",
}
DENIED = {
    "status": 403,
    "reason": "Forbidden",
    "message": 'admission webhook "validate.policy.example.com" denied the request: '
    "[require-team-label] pods must carry the label team",
}
DIALING = {
    "status": 500,
    "text": "error dialing backend: dial tcp 10.0.0.5:10250: connect: connection refused",
}
BUSY = {
    "status": 429,
    "reason": "TooManyRequests",
    "message": "too many requests",
    "headers": {"Retry-After": "1"},
}
LATER = {**BUSY, "headers": {"Retry-After": "3600"}}

Refuse = Callable[..., Awaitable[None]]


@pytest.fixture
async def refuse(kube: KubeApi, target: Target) -> AsyncIterator[Refuse]:
    """Tells the cluster what to answer to requests for pods, from now to the end of the test."""

    async def tell(method: str, path: str, *answers: Json) -> None:
        rule = {
            "method": method,
            "path": f"/api/v1/namespaces/{target.namespace}/{path}",
            "answers": answers,
        }
        await kube.request("PUT", TOLD, body={"refusals": [rule]})

    yield tell
    await kube.request("PUT", TOLD, body={"refusals": []})


async def left(kube: KubeApi) -> int:
    """How many of the answers nobody has met."""
    told: list[dict[str, Any]] = (await kube.request("GET", TOLD))["refusals"]
    return sum(rule["answers"] for rule in told)


async def test_a_create_that_meets_what_passes_makes_the_session(
    client: Client, kube: KubeApi, refuse: Refuse
) -> None:
    await refuse("POST", "pods", CONFLICT, {**BUSY, "headers": {"Retry-After": "0"}}, {"status": 0})
    session = await client.create()
    assert session["state"] == "running"
    assert await left(kube) == 0
    await client.delete(session)


async def test_a_create_whose_answer_is_lost_makes_one_session(
    client: Client, kube: KubeApi, refuse: Refuse
) -> None:
    await refuse("POST", "pods", {"status": 0, "done": True})
    session = await client.create()
    assert session["state"] == "running"
    assert await left(kube) == 0
    await client.delete(session)


async def test_a_pod_that_a_webhook_denies_is_told_in_its_words(client: Client, refuse: Refuse) -> None:
    await refuse("POST", "pods", DENIED)
    status, problem, _ = await client.call("POST", "/v1/sessions", {"wait_seconds": 60})
    assert (status, problem["reason"]) == (422, "ADMISSION_DENIED")
    assert "pods must carry the label team" in problem["detail"]
    assert "role" not in problem["detail"]


OPERATIONS: dict[str, tuple[str, str, object]] = {
    "exec": ("POST", "exec", {"command": ["true"]}),
    "job": ("POST", "jobs", {"command": ["true"]}),
    "upload": ("PUT", "files/hello.txt", "hello"),
    "download": ("GET", "files/there.txt", None),
    "listing": ("GET", "files/?list=true", None),
    "delete": ("DELETE", "files/there.txt", None),
}


async def test_whatever_runs_in_the_pod_meets_refused_execs_alike(
    client: Client, session: Json, kube: KubeApi, refuse: Refuse
) -> None:
    there = f"/v1/sessions/{session['id']}"
    for name, (method, path, body) in OPERATIONS.items():
        assert (await client.call("PUT", f"{there}/files/there.txt", "there"))[0] in (200, 201)

        await refuse("GET", f"pods/{session['pod_name']}/exec", LATER)
        status, problem, headers = await client.call(method, f"{there}/{path}", body)
        assert (status, headers.get("retry-after")) == (503, "3600"), (name, problem)
        assert "too many requests" in problem["detail"], name

        await refuse("GET", f"pods/{session['pod_name']}/exec", DENIED)
        status, problem, _ = await client.call(method, f"{there}/{path}", body)
        assert (status, problem["reason"]) == (422, "ADMISSION_DENIED"), (name, problem)
        assert "pods must carry the label team" in problem["detail"], name

        await refuse("GET", f"pods/{session['pod_name']}/exec", DIALING, BUSY)
        async with client.http.request(
            method, client.url + f"{there}/{path}", json=body, headers={"X-Dev-User": client.user}
        ) as response:
            assert response.status < 300, (name, await response.text())
            await response.read()
        assert await left(kube) == 0, name


async def test_an_exec_that_stays_refused_is_told_in_kubernetes_words(
    client: Client, session: Json, kube: KubeApi, refuse: Refuse
) -> None:
    await refuse("GET", f"pods/{session['pod_name']}/exec", {**DIALING, "times": 100})
    path = f"/v1/sessions/{session['id']}/exec"
    status, problem, _ = await client.call("POST", path, {"command": ["true"]})
    assert (status, problem["reason"]) == (503, "CLUSTER_REFUSED")
    assert "error dialing backend: dial tcp <address>: connect: connection refused" in problem["detail"]
    assert 1 < 100 - await left(kube) < 15


async def test_the_failed_test_of_a_patch_is_told_as_that(kube: KubeApi, target: Target) -> None:
    maps = f"/api/v1/namespaces/{target.namespace}/configmaps"
    await kube.request("POST", maps, body={"metadata": {"name": "patched"}, "data": {"a": "1"}})
    for value, fits in (("2", False), ("1", True)):
        patch = [
            {"op": "test", "path": "/data/a", "value": value},
            {"op": "replace", "path": "/data/a", "value": "3"},
        ]
        changing = kube.request(
            "PATCH", f"{maps}/patched", body=patch, content_type="application/json-patch+json"
        )
        if fits:
            assert (await changing)["data"] == {"a": "3"}
            continue
        with pytest.raises(PatchDoesNotFit) as caught:
            await changing
        assert (caught.value.status, caught.value.reason) == (422, "PATCH_TEST_FAILED")
