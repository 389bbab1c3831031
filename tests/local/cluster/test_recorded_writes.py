"""Patches, unknown fields, and the end of namespaces, against recordings of a real cluster."""

import json
import re
from typing import Any

import pytest

from .client import Client
from .replay import Recording, Step, ours, replayed, send

_MERGE = "application/merge-patch+json"
_MAPS = "/api/v1/namespaces/rec/configmaps"


def _with_version(step: Step, recorded: str, own: str) -> Step:
    found: Step = json.loads(json.dumps(step).replace(f'"{recorded}"', f'"{own}"'))
    return found


def _once(body: Any) -> Any:
    """Return an answer in which no cause comes twice; a real cluster says one of them twice."""
    causes = ((body.get("details") or {}).get("causes")) or []
    if causes:
        body["details"]["causes"] = [each for index, each in enumerate(causes) if each not in causes[:index]]
    return body


async def test_patches_hold_or_are_refused_as_recorded(client: Client, recording: Recording) -> None:
    steps = ours(recording("patches"))
    first, *others = steps
    made = (await send(client, first)).body
    versions = (first["response"]["body"]["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"])
    for step in others:
        if step["note"] == "version that is no number":
            continue  # is a 500 there; nobody relies on it
        our_answer, recorded = await replayed(client, _with_version(step, *versions))
        assert our_answer[:2] == recorded[:2]
        assert our_answer[2] == _once(recorded[2]), step["note"]


async def test_unknown_and_repeated_fields_are_told_as_recorded(client: Client, recording: Recording) -> None:
    for step in ours(recording("field-validation")):
        if step["note"].startswith("YAML twice"):
            continue  # kubectl sends JSON
        answer, recorded = await send(client, step), step["response"]
        warnings = tuple(recorded["headers"].get("warning", ()))
        assert (step["note"], answer.status, answer.warnings) == (step["note"], recorded["status"], warnings)
        if answer.status >= 400:
            assert _cut(answer.body) == _cut(recorded["body"])
        else:
            assert "dta" not in answer.body
            assert "lables" not in answer.body["metadata"]


def _cut(body: Any) -> Any:
    """Return an error without the whole object that it quotes."""
    text = json.dumps(body)
    return json.loads(
        re.sub(r"Invalid value: .*?: strict decoding", "Invalid value: IT: strict decoding", text)
    )


@pytest.mark.parametrize("mode", ["Strict", "Warn"])
async def test_a_field_that_is_known_elsewhere_is_unknown_here(client: Client, mode: str) -> None:
    """The kind: every field of every part of an object is looked up in the type of that part."""
    pod = {
        "metadata": {"name": "p", "spec": {}},
        "spec": {"image": "i:1", "containers": [{"name": "c", "image": "i:1", "nodeName": "n"}]},
    }
    path = f"/api/v1/namespaces/rec/pods?dryRun=All&fieldValidation={mode}"
    answer = await client.request("POST", path, pod)
    told = [f'unknown field "{at}"' for at in ("metadata.spec", "spec.image", "spec.containers[0].nodeName")]
    if mode == "Strict":
        assert (answer.status, answer.body["message"].partition("error: ")[2]) == (400, ", ".join(told))
    else:
        assert answer.status == 201
        assert [json.loads(warning.removeprefix("299 - ")) for warning in answer.warnings] == told
        assert "image" not in answer.body["spec"]
        assert answer.body["spec"]["containers"][0]["image"] == "i:1"


async def test_a_namespace_ends_when_the_last_finalizer_is_gone(client: Client, recording: Recording) -> None:
    for step in ours(recording("namespace-terminating")):
        answer, recorded = await replayed(client, step)
        if step["note"] == "delete":
            # The conditions come later there.
            answer[2]["status"].pop("conditions", None)
        assert answer == recorded


async def test_a_namespace_whose_finalizers_are_taken_by_force_goes_at_once(client: Client) -> None:
    await client.create(_MAPS, {"metadata": {"name": "held", "finalizers": ["example.com/f"]}})
    namespace = (await client.request("DELETE", "/api/v1/namespaces/rec")).body
    assert namespace["status"]["phase"] == "Terminating"
    path = "/api/v1/namespaces/rec/finalize"
    answer = await client.request("PUT", path, {**namespace, "spec": {"finalizers": []}})
    assert (answer.status, answer.body["spec"]) == (200, {})
    assert (await client.request("GET", "/api/v1/namespaces/rec")).status == 404
