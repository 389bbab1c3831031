"""Tokens of service accounts, against a recording of a real cluster."""

import time
from pathlib import Path

import aiohttp
import pytest

from local.cluster import LocalCluster

from .client import Client, pod_manifest
from .replay import Recording, ours, replayed

_ACCOUNTS = "/api/v1/namespaces/rec/serviceaccounts"
_WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_TOKENS = {
    "the token with all defaults": "token, all defaults",
    "the token for another audience": "token for another audience",
    "the token bound to a pod": "bound to a pod",
    "the token bound to a secret": "bound to a secret",
}


async def _before(client: Client, note: str) -> None:
    """Do what was done between two recorded steps."""
    if note == "bound to a pod with another account":
        for name, account in (("p", "ann"), ("q", "default")):
            pod = pod_manifest(name, serviceAccountName=account)
            await client.create("/api/v1/namespaces/rec/pods", pod)
            await client.pod_until(name, lambda pod: bool(pod["spec"].get("nodeName")))
    elif note == "bound to a secret":
        await client.create("/api/v1/namespaces/rec/secrets", {"metadata": {"name": "s"}})
    elif note == "the secret is gone":
        await client.request("DELETE", "/api/v1/namespaces/rec/secrets/s")
        await client.request("DELETE", "/api/v1/namespaces/rec/pods/p?gracePeriodSeconds=0")
    elif note == "another account of that name":
        await client.request("DELETE", f"{_ACCOUNTS}/ann")
        await client.create(_ACCOUNTS, {"metadata": {"name": "ann"}})


async def test_tokens_are_given_taken_and_refused_as_recorded(client: Client, recording: Recording) -> None:
    steps = ours(recording("service-account-tokens"))
    tokens: dict[str, str] = {}
    for step in steps:
        await _before(client, step["note"])
        known = tokens.get(_TOKENS.get(step["request"].get("as", ""), ""))
        if step["note"] in _TOKENS.values():
            answer = await client.request("POST", step["request"]["path"], step["request"]["body"])
            tokens[step["note"]] = answer.body["status"]["token"]
        our_answer, recorded = await replayed(client, step, known)
        assert our_answer == recorded
    assert len(tokens) == len(_TOKENS)


@pytest.mark.parametrize("change", ["", "x", ".", "..", "0" * 86])
async def test_a_token_that_was_changed_proves_nothing(client: Client, change: str) -> None:
    made = await client.create(f"{_ACCOUNTS}/default/token", {})
    token = made["status"]["token"]
    assert (await client.request("POST", _WHO, {}, token=token)).status == 201
    head, claims, _ = token.split(".")
    for forged in (f"{head}.{claims}.{change}", f"{token}{change or 'x'}", f"{change}.{token}", claims):
        assert (await client.request("POST", _WHO, {}, token=forged)).status == 401


async def test_a_token_expires_a_minute_after_its_time(tmp_path: Path) -> None:
    """As in Kubernetes, whose library leaves clocks so much room."""
    now = begun = time.time()
    cluster = LocalCluster(tmp_path, namespaces=False, token_clock=lambda: now)
    async with cluster, aiohttp.ClientSession() as session:
        client = Client(cluster, session)
        path = "/api/v1/namespaces/default/serviceaccounts/default/token"
        made = await client.create(path, {"spec": {"expirationSeconds": 600}})
        for later, status in ((0, 201), (600, 201), (659, 201), (662, 401), (0, 201), (-3600, 401)):
            now = begun + later
            token = made["status"]["token"]
            assert (await client.request("POST", _WHO, {}, token=token)).status == status, later


async def test_an_account_may_do_what_its_role_says(client: Client) -> None:
    token = (await client.create(f"{_ACCOUNTS}/default/token", {}))["status"]["token"]
    pods = "/api/v1/namespaces/rec/pods"
    assert (await client.request("GET", pods, token=token)).status == 403
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/rec"
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}
    await client.create(f"{rbac}/roles", {"metadata": {"name": "r"}, "rules": [rule]})
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": "rec"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    binding = {"metadata": {"name": "b"}, "roleRef": reference, "subjects": [subject]}
    await client.create(f"{rbac}/rolebindings", binding)
    assert (await client.request("GET", pods, token=token)).status == 200
