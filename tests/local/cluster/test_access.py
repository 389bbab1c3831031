"""Tokens and roles."""

from pathlib import Path

import aiohttp
import pytest

from local.cluster import UNPRIVILEGED_USER, LocalCluster

from .client import Client, pod_manifest

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_PODS = "/api/v1/namespaces/rec/pods"


async def _grant(client: Client, rule: dict[str, list[str]], *, cluster_wide: bool = False) -> None:
    """Give the unprivileged user a role in ``rec``, or everywhere."""
    subject = {"kind": "User", "name": UNPRIVILEGED_USER}
    role, where = ("ClusterRole", "") if cluster_wide else ("Role", "/namespaces/rec")
    prefix = "clusterrole" if cluster_wide else "role"
    await client.create(f"{_RBAC}{where}/{prefix}s", {"metadata": {"name": "r"}, "rules": [rule]})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": "r"}
    binding = {"metadata": {"name": "b"}, "roleRef": reference, "subjects": [subject]}
    await client.create(f"{_RBAC}{where}/{prefix}bindings", binding)


async def _status(client: Client, method: str, path: str, body: object = None) -> int:
    answer = await client.request(method, path, body, token=client.cluster.unprivileged_token)
    return answer.status


async def test_a_role_allows_what_it_names_where_it_is_bound(client: Client) -> None:
    await _grant(client, {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "create"]})
    assert await _status(client, "GET", _PODS) == 200
    assert await _status(client, "POST", _PODS, pod_manifest("p")) == 201
    assert await _status(client, "GET", f"{_PODS}/p") == 200
    assert await _status(client, "DELETE", f"{_PODS}/p") == 403
    assert await _status(client, "GET", f"{_PODS}?watch=1") == 403
    assert await _status(client, "GET", "/api/v1/namespaces/default/pods") == 403
    assert await _status(client, "GET", "/api/v1/pods") == 403


async def test_subresources_need_rules_of_their_own(client: Client) -> None:
    await _grant(client, {"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]})
    answer = await client.request(
        "POST", f"{_PODS}/p/exec?command=true&stdout=true", token=client.cluster.unprivileged_token
    )
    assert answer.status == 403
    assert answer.body["message"] == (
        f'pods "p" is forbidden: User "{UNPRIVILEGED_USER}" cannot create resource "pods/exec" '
        'in API group "" in the namespace "rec"'
    )


@pytest.mark.parametrize("verb", ["get", "create"])
async def test_an_exec_over_a_websocket_needs_both_verbs(client: Client, verb: str) -> None:
    await _grant(client, {"apiGroups": [""], "resources": ["pods/exec"], "verbs": [verb]})
    path = f"{_PODS}/p/exec?command=true&stdout=true"
    assert await _status(client, "GET", path) == 403
    assert await _status(client, "POST", path) == (404 if verb == "create" else 403)


async def test_resource_names_narrow_a_rule(client: Client) -> None:
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["mine"]}
    await _grant(client, rule)
    assert await _status(client, "GET", "/api/v1/namespaces/rec/secrets/mine") == 404
    assert await _status(client, "GET", "/api/v1/namespaces/rec/secrets/other") == 403


async def test_a_cluster_role_binding_holds_everywhere(client: Client) -> None:
    await _grant(client, {"apiGroups": ["*"], "resources": ["*"], "verbs": ["list"]}, cluster_wide=True)
    for path in ("/api/v1/pods", "/api/v1/nodes", "/apis/apps/v1/deployments"):
        assert await _status(client, "GET", path) == 200
    review = {"spec": {"resourceAttributes": {"verb": "list", "resource": "nodes"}}}
    answer = await client.request(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        review,
        token=client.cluster.unprivileged_token,
    )
    assert answer.body["status"]["allowed"] is True
    assert answer.body["status"]["reason"].startswith(
        'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "r"'
    )


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YWRtaW46", "bearer none"])
async def test_without_a_known_token_nobody_comes_in(client: Client, header: str) -> None:
    answer = await client.request("GET", "/api/v1/pods", headers={"Authorization": header})
    assert (answer.status, answer.body["reason"]) == (401, "Unauthorized")


async def test_a_namespace_may_be_got_by_a_role_in_it_and_by_a_cluster_role_that_names_it(
    client: Client,
) -> None:
    rule = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"], "resourceNames": ["rec"]}
    await _grant(client, rule)
    assert await _status(client, "GET", "/api/v1/namespaces/rec") == 200
    answer = await client.request(
        "GET", "/api/v1/namespaces/kube-system", token=client.cluster.unprivileged_token
    )
    assert (answer.status, answer.body["message"]) == (
        403,
        f'namespaces "kube-system" is forbidden: User "{UNPRIVILEGED_USER}" cannot get resource '
        '"namespaces" in API group "" in the namespace "kube-system"',
    )
    await _grant(client, {**rule, "resourceNames": ["kube-system"]}, cluster_wide=True)
    assert await _status(client, "GET", "/api/v1/namespaces/kube-system") == 200
    for other in ("/api/v1/namespaces", "/api/v1/namespaces/default", "/api/v1/namespaces/kube-system/pods"):
        assert await _status(client, "GET", other) == 403
    assert await _status(client, "DELETE", "/api/v1/namespaces/rec") == 403


async def test_a_cluster_is_the_same_one_when_it_is_started_again_and_no_other_is(tmp_path: Path) -> None:
    async def uids(folder: str) -> set[str]:
        cluster = LocalCluster(tmp_path / folder, namespaces=False)
        async with cluster, aiohttp.ClientSession() as session:
            client = Client(cluster, session)
            found = [
                (await client.request("GET", f"/api/v1/namespaces/{name}")).body["metadata"]["uid"]
                for name in ("kube-system", "default")
            ]
        assert len(set(found)) == 2
        return set(found)

    first = await uids("a")
    assert await uids("a") == first
    assert not first & await uids("b")
    (tmp_path / "a" / "id").write_text("nobody's")
    assert not first & await uids("a")
