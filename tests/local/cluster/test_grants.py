"""What callers hold and may grant, against recordings of a real cluster."""

import json
from pathlib import Path
from typing import Any

import aiohttp

from local.cluster import LocalCluster

from .client import Client
from .replay import Recording, ours, replayed

_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"


async def test_nobody_grants_more_than_he_holds_unless_he_may(client: Client, recording: Recording) -> None:
    steps = ours(recording("grants"))
    assert [step["response"]["status"] for step in steps].count(403) == 7
    for step in steps:
        our_answer, recorded = await replayed(client, step)
        assert our_answer == recorded


async def test_the_rules_of_a_caller_are_as_recorded(client: Client, recording: Recording) -> None:
    for step in ours(recording("rules-reviews")):
        our_answer, recorded = await replayed(client, step)
        assert _sorted(our_answer) == _sorted(recorded)


def _sorted(answer: Any) -> Any:
    """Return an answer with its rules in one order, and without those of the recorded build alone."""
    note, status, body = answer
    for kind in ("resourceRules", "nonResourceRules"):
        rules = (body.get("status") or {}).get(kind, []) if status == 201 else []
        texts = sorted(json.dumps(rule, sort_keys=True) for rule in rules)
        if rules:
            body["status"][kind] = [text for text in texts if "/.well-known" not in text]
    return note, status, body


async def test_a_cluster_that_asks_others_says_that_rules_are_incomplete(tmp_path: Path) -> None:
    cluster = LocalCluster(tmp_path, namespaces=False, incomplete_rules=True)
    async with cluster, aiohttp.ClientSession() as session:
        body = {"spec": {"namespace": "default"}}
        status = (await Client(cluster, session).create(_REVIEW, body))["status"]
    assert status["incomplete"] is True
    assert status["evaluationError"] == "webhook authorizer does not support user rule resolution"
