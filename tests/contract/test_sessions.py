"""What must be true of sessions on any cluster."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import pytest

from shared.kube.api.client import KubeApi
from shared.kube.api.errors import ApiError
from tests.contract.conftest import Target, gateway_settings
from tests.support import laptop
from tests.support.client import Client, Json
from tests.support.patience import PATIENCE

DOCUMENTED = {
    "id",
    "name",
    "owner",
    "state",
    "image",
    "resources",
    "labels",
    "cluster",
    "namespace",
    "pod_name",
    "created_at",
    "ready_at",
    "last_used_at",
    "expires_at",
    "idle_seconds",
    "cleanup",
    "credentials",
}


def pod_path(session: Json) -> str:
    return f"/api/v1/namespaces/{session['namespace']}/pods/{session['pod_name']}"


async def is_gone(kube: KubeApi, session: Json) -> bool:
    try:
        await kube.request("GET", pod_path(session))
    except ApiError as error:
        return error.code == 404
    return False


async def test_a_session_lives_from_create_to_delete(client: Client, kube: KubeApi) -> None:
    status, session, headers = await client.call(
        "POST",
        "/v1/sessions",
        {"name": "Payroll ✓", "labels": {"team": "it"}, "env": {"A": "b c"}, "wait_seconds": 60},
    )
    assert status == 201, session
    assert set(session) == DOCUMENTED
    assert session["state"] == "running"
    assert session["owner"] == client.user
    assert session["labels"] == {"team": "it"}
    assert headers["location"] == f"/v1/sessions/{session['id']}"

    pod = await kube.request("GET", pod_path(session))
    assert "team" not in pod["metadata"]["labels"], "what callers choose is not on the pod"
    assert pod["metadata"]["labels"]["gamgui.io/session"] == session["id"]
    assert pod["spec"]["activeDeadlineSeconds"] > 0

    assert (await client.call("GET", f"/v1/sessions/{session['id']}"))[1] == session
    listed = (await client.call("GET", "/v1/sessions?state=running"))[1]
    assert [entry["id"] for entry in listed["sessions"]] == [session["id"]]

    deleted = await client.delete(session)
    assert deleted["state"] == "deleted"
    assert "deleted_at" in deleted
    assert await is_gone(kube, session)
    assert await client.delete(session) == deleted
    status, problem, _ = await client.call(
        "POST", f"/v1/sessions/{session['id']}/exec", {"command": ["true"]}
    )
    assert (status, problem["reason"]) == (409, "SESSION_NOT_RUNNING")


async def test_the_pod_has_a_home_and_a_workspace_and_the_callers_variables(client: Client) -> None:
    session = await client.create(env={"GREETING": "it's\na test"})
    script = 'cd /workspace && echo x >f && cat f && touch "$HOME/h" && [ -d "$GAMCFGDIR" ]'
    script += ' && [ "$HOME" = /home/gam ] && echo "$GREETING"'
    result = await client.execute(session, script)
    assert result["stdout"] == "x\nit's\na test\n", result
    await client.delete(session)


async def test_others_sessions_do_not_exist(client: Client, session: Json) -> None:
    other = client.as_user("stranger@example.com")
    path = f"/v1/sessions/{session['id']}"
    absent = await other.call("GET", "/v1/sessions/saaaaaaaaaaaaaaaa")
    for method, target, body in (
        ("GET", path, None),
        ("DELETE", path, None),
        ("POST", f"{path}/exec", {"command": ["true"]}),
    ):
        status, problem, _ = await other.call(method, target, body)
        assert (status, problem["reason"], problem["detail"]) == (
            404,
            "SESSION_NOT_FOUND",
            absent[1]["detail"],
        )
    assert (await other.call("GET", "/v1/sessions"))[1]["sessions"] == []
    assert (await client.call("GET", path))[1]["state"] == "running"


async def test_sessions_are_listed_newest_first_in_pages(client: Client) -> None:
    created = [await client.create(name=str(number)) for number in range(3)]
    pages, token = [], ""
    while True:
        _, page, _ = await client.call("GET", f"/v1/sessions?page_size=2{token}")
        pages.append([entry["name"] for entry in page["sessions"]])
        if "next_page_token" not in page:
            break
        token = f"&page_token={page['next_page_token']}"
    assert pages == [["2", "1"], ["0"]]
    await asyncio.gather(*(client.delete(session) for session in created))


async def test_the_same_idempotency_key_creates_one_session(
    client: Client, kube: KubeApi, target: Target
) -> None:
    key, body = secrets.token_hex(8), {"name": "once", "wait_seconds": 60}
    first = await client.call("POST", "/v1/sessions", body, Idempotency_Key=key)
    again = await client.call("POST", "/v1/sessions", body, Idempotency_Key=key)
    other = await client.call("POST", "/v1/sessions", {"name": "twice"}, Idempotency_Key=key)
    assert (first[0], again[0]) == (201, 201)
    assert first[1] == again[1]
    assert (other[0], other[1]["reason"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert len((await client.call("GET", "/v1/sessions"))[1]["sessions"]) == 1
    await client.delete(first[1])


async def test_ten_creates_at_once_with_one_key_make_one_session(client: Client) -> None:
    key, body = secrets.token_hex(8), {"wait_seconds": 60}
    answers = await asyncio.gather(
        *(client.call("POST", "/v1/sessions", body, Idempotency_Key=key) for _ in range(10))
    )
    made = [answer for status, answer, _ in answers if status == 201]
    assert made
    assert {answer["reason"] for status, answer, _ in answers if status != 201} <= {"REQUEST_IN_PROGRESS"}
    assert len({session["id"] for session in made}) == 1
    assert len((await client.call("GET", "/v1/sessions"))[1]["sessions"]) == 1
    await client.delete(made[0])


async def test_a_session_that_is_not_awaited_becomes_running(client: Client) -> None:
    status, session, _ = await client.call("POST", "/v1/sessions", {"wait_seconds": 0})
    assert status in (201, 202)
    async with asyncio.timeout(PATIENCE):
        while (await client.call("GET", f"/v1/sessions/{session['id']}"))[1]["state"] != "running":
            await asyncio.sleep(0.1)
    await client.delete(session)


async def test_an_image_name_that_no_registry_can_have_fails_at_once(client: Client, kube: KubeApi) -> None:
    status, problem, _ = await client.call(
        "POST", "/v1/sessions", {"image": "localhost/NO:1", "wait_seconds": 60}
    )
    assert (status, problem["reason"]) == (422, "IMAGE_UNAVAILABLE"), problem
    assert "InvalidImageName" in problem["detail"]
    _, session, _ = await client.call("GET", f"/v1/sessions/{problem['session']}")
    assert session["state"] == "failed"
    assert "InvalidImageName" in session["reason"]
    async with asyncio.timeout(PATIENCE):
        while not await is_gone(kube, session):
            await asyncio.sleep(0.1)


async def test_an_image_that_is_not_there_is_said_to_be(client: Client) -> None:
    body = {"image": "localhost/nowhere:1", "wait_seconds": 5}
    status, answer, _ = await client.call("POST", "/v1/sessions", body)
    told = answer["reason"] if status == 202 else answer["detail"]
    assert status in (202, 422)
    assert "Image" in told, answer
    await client.delete({"id": answer["id"] if status == 202 else answer["session"]})


async def test_a_session_that_no_node_can_take_stays_pending_and_says_why(client: Client) -> None:
    status, session, _ = await client.call(
        "POST", "/v1/sessions", {"resources": {"cpu": "8000"}, "wait_seconds": 2}
    )
    assert (status, session["state"]) == (202, "pending"), session
    assert session["reason"].startswith("Unschedulable: ")
    status, problem, _ = await client.call(
        "POST", f"/v1/sessions/{session['id']}/exec", {"command": ["true"]}
    )
    assert (status, problem["reason"]) == (409, "SESSION_NOT_RUNNING")
    assert (await client.delete(session))["state"] == "deleted"


async def test_a_session_whose_pod_was_deleted_is_failed_with_the_reason(
    client: Client, kube: KubeApi
) -> None:
    session = await client.create()
    await kube.request("DELETE", pod_path(session))
    async with asyncio.timeout(PATIENCE):
        while not await is_gone(kube, session):
            await asyncio.sleep(0.1)
    _, shown, _ = await client.call("GET", f"/v1/sessions/{session['id']}")
    assert shown["state"] == "failed"
    assert "pod" in shown["reason"]
    assert (await client.delete(session))["state"] == "deleted"


async def test_an_exec_in_a_session_whose_pod_is_gone_says_so(client: Client, kube: KubeApi) -> None:
    session = await client.create()
    await kube.request("DELETE", pod_path(session))
    async with asyncio.timeout(PATIENCE):
        while not await is_gone(kube, session):
            await asyncio.sleep(0.1)
    status, problem, _ = await client.call(
        "POST", f"/v1/sessions/{session['id']}/exec", {"command": ["true"]}
    )
    assert (status, problem["reason"]) == (404, "POD_NOT_RUNNING"), problem
    await client.delete(session)


async def test_a_full_namespace_is_told_as_its_quota(client: Client, kube: KubeApi, target: Target) -> None:
    quotas = f"/api/v1/namespaces/{target.namespace}/resourcequotas"
    body = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "full"},
        "spec": {"hard": {"pods": "0"}},
    }
    await kube.request("POST", quotas, body=body)
    try:
        async with asyncio.timeout(PATIENCE):
            while not (await kube.request("GET", f"{quotas}/full")).get("status", {}).get("hard"):
                await asyncio.sleep(0.1)
        status, problem, headers = await client.call("POST", "/v1/sessions", {"wait_seconds": 5})
        assert (status, problem["reason"]) == (429, "NAMESPACE_QUOTA_EXCEEDED"), problem
        assert int(headers["retry-after"]) > 0
    finally:
        await kube.request("DELETE", f"{quotas}/full")
    listed = (await client.call("GET", "/v1/sessions?state=failed"))[1]["sessions"]
    assert "exceeded quota" in listed[0]["reason"]


async def test_readiness_names_store_and_cluster_with_latencies(client: Client) -> None:
    status, report, _ = await client.call("GET", "/readyz")
    assert status == 200
    assert {name: check["status"] for name, check in report["checks"].items()} == {
        "store": "ok",
        "cluster": "ok",
    }
    assert all(check["latency_ms"] >= 0 for check in report["checks"].values())


async def test_status_says_how_the_cluster_is_reached(client: Client, target: Target) -> None:
    _, report, _ = await client.call("GET", "/v1/status")
    assert report["connection"]["method"] == "kubeconfig"
    assert report["namespace"] == target.namespace
    assert report["store"] == "sqlite"


@pytest.mark.parametrize("count", [20])
async def test_many_sessions_at_once_all_end_right(client: Client, count: int) -> None:
    sessions = await asyncio.gather(*(client.create() for _ in range(count)))
    results = await asyncio.gather(*(client.execute(session, "echo $HOSTNAME") for session in sessions))
    assert all(result["exit_code"] == 0 for result in results)
    deleted = await asyncio.gather(*(client.delete(session) for session in sessions))
    assert {session["state"] for session in deleted} == {"deleted"}


async def test_the_operators_pod_template_reaches_the_pod(
    client: Client, kube: KubeApi, target: Target, tmp_path: Path
) -> None:
    assert (await client.call("GET", "/readyz"))[0] == 200  # it serves once the namespace is there
    templates = f"/api/v1/namespaces/{target.namespace}/podtemplates"
    container = {"name": "session", "image": "overridden", "env": [{"name": "FROM_TEMPLATE", "value": "yes"}]}
    body = {
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {"name": "sessions"},
        "template": {
            "metadata": {"annotations": {"example.com/pool": "gam"}, "labels": {"team": "ops"}},
            "spec": {"containers": [container], "automountServiceAccountToken": True},
        },
    }
    await kube.request("POST", templates, body=body)
    settings = gateway_settings(target, tmp_path) | {"K8S_POD_TEMPLATE": "sessions"}
    with laptop.gateway(tmp_path / "log", **settings) as (_, url):
        other = Client(client.http, url, client.user)
        session = await other.create(labels={"team": "it"})
        pod = await kube.request("GET", pod_path(session))
        result = await other.execute(session, "echo $FROM_TEMPLATE")
        await other.delete(session)
    assert pod["metadata"]["annotations"]["example.com/pool"] == "gam"
    assert pod["metadata"]["labels"]["team"] == "ops"
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert result["stdout"] == "yes\n"
