"""Errors, discovery and other objects, against the recordings of a real cluster."""

from collections.abc import Callable
from typing import Any

import pytest

from .client import Client, pod_manifest
from .normal import normal

Recording = Callable[[str], list[dict[str, Any]]]
_ERRORS = (
    "404",
    "422 invalid name",
    "422 no containers",
    "404 namespace not found",
    "400 empty body",
    "404 on patch",
)


def _step(steps: list[dict[str, Any]], note: str) -> dict[str, Any]:
    return next(step for step in steps if step["note"] == note)


async def _replay(client: Client, step: dict[str, Any], token: str | None = None) -> tuple[Any, Any]:
    """Return our answer and the recorded one, both in normal form."""
    request, recorded = step["request"], step["response"]
    content_type = request.get("content_type", "application/json")
    answer = await client.request(
        request["method"], request["path"], request["body"], content_type=content_type, token=token
    )
    ours = (answer.status, answer.content_type, normal(answer.body))
    return ours, (recorded["status"], recorded["headers"]["content-type"], normal(recorded["body"]))


@pytest.mark.parametrize("note", _ERRORS)
async def test_errors_are_as_recorded(client: Client, recording: Recording, note: str) -> None:
    ours, recorded = await _replay(client, _step(recording("api-errors"), note))
    assert ours == recorded


async def test_an_unknown_token_is_refused_as_recorded(client: Client, recording: Recording) -> None:
    ours, recorded = await _replay(client, _step(recording("api-errors"), "401"), token="wrong")
    assert ours == recorded


async def test_a_user_without_roles_is_refused_as_recorded(client: Client, recording: Recording) -> None:
    step = _step(recording("api-errors"), "403: the user has no role")
    ours, recorded = await _replay(client, step, token=client.cluster.unprivileged_token)
    assert ours == recorded


async def test_access_reviews_are_as_recorded(client: Client, recording: Recording) -> None:
    for step in recording("objects"):
        if (step["note"] or "").startswith("access review"):
            privileged = "as" not in step["request"]
            token = client.cluster.token if privileged else client.cluster.unprivileged_token
            ours, recorded = await _replay(client, step, token)
            assert ours == recorded, step["note"]


async def test_who_am_i_is_as_recorded_but_for_the_certificate(client: Client, recording: Recording) -> None:
    ours, recorded = await _replay(client, _step(recording("objects"), "who am I"))
    # A token, unlike the recorded client certificate, has no credential id.
    del recorded[2]["status"]["userInfo"]["extra"]
    assert ours == recorded


@pytest.mark.parametrize("note", ["create pod template", "create deployment", "create service"])
async def test_objects_get_their_defaults_as_recorded(
    client: Client, recording: Recording, note: str
) -> None:
    ours, recorded = await _replay(client, _step(recording("objects"), note))
    assert ours == recorded


async def test_a_secrets_life_is_as_recorded(client: Client, recording: Recording) -> None:
    for step in recording("objects")[:3]:
        ours, recorded = await _replay(client, step)
        assert ours == recorded


async def test_exceeding_a_quota_is_refused_as_recorded(client: Client, recording: Recording) -> None:
    step = _step(recording("objects"), "403: over the namespace's quota")
    pods = "/api/v1/namespaces/rec/pods"
    for number in range(7):
        await client.create(pods, pod_manifest(f"p{number}"))
    quota = {"metadata": {"name": "q2"}, "spec": {"hard": {"pods": "3"}}}
    await client.create("/api/v1/namespaces/rec/resourcequotas", quota)
    ours, recorded = await _replay(client, step)
    assert ours == recorded


async def test_violating_pod_security_is_refused_as_recorded(client: Client, recording: Recording) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    await client.create("/api/v1/namespaces", {"metadata": {"name": "rec-psa", "labels": labels}})
    step = _step(recording("objects"), "403: violates the restricted pod security standard")
    ours, recorded = await _replay(client, step)
    assert ours == recorded


async def test_a_page_of_namespaces_is_as_recorded(client: Client, recording: Recording) -> None:
    await client.create("/api/v1/namespaces", {"metadata": {"name": "rec-psa"}})
    ours, recorded = await _replay(client, _step(recording("objects"), "list namespaces"))
    for part in (ours, recorded):
        assert part[2]["metadata"].pop("continue")
    assert ours == recorded


async def test_discovery_is_as_recorded_for_what_is_served(client: Client, recording: Recording) -> None:
    steps = {step["request"]["path"]: step["response"] for step in recording("discovery")}
    version = await client.get("/version")
    assert version.keys() == steps["/version"]["body"].keys()
    assert (version["major"], version["minor"]) == ("1", "36")
    assert (await client.get("/api")).keys() == steps["/api"]["body"].keys() - {"apiVersion"}
    groups = {group["name"]: group for group in steps["/apis"]["body"]["groups"]}
    for group in (await client.get("/apis"))["groups"]:
        assert group == groups[group["name"]]
    real = {entry["name"]: entry for entry in steps["/api/v1"]["body"]["resources"]}
    for entry in (await client.get("/api/v1"))["resources"]:
        expected = {key: value for key, value in real[entry["name"]].items() if key != "storageVersionHash"}
        assert entry == expected


async def test_health_is_open_to_everybody(client: Client, recording: Recording) -> None:
    recorded = next(step for step in recording("discovery") if step["request"]["path"] == "/readyz")[
        "response"
    ]
    for path in ("/readyz", "/livez", "/healthz"):
        answer = await client.request("GET", path, token="")
        assert (answer.status, answer.content_type, answer.body) == (
            200,
            recorded["headers"]["content-type"],
            recorded["body"],
        )
