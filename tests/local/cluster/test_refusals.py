"""The cluster answers what it was told to answer, in order, and then as ever."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from .client import Client

TOLD = "/local/refusals"
PODS = "/api/v1/namespaces/rec/pods"
MAPS = "/api/v1/namespaces/rec/configmaps"


async def tell(client: Client, *rules: dict[str, Any], **options: Any) -> int:
    return (await client.request("PUT", TOLD, {"refusals": list(rules)}, **options)).status


def rule(method: str, path: str, *answers: dict[str, Any]) -> dict[str, Any]:
    return {"method": method, "path": path, "answers": list(answers)}


async def test_answers_come_in_order_and_only_where_they_were_told(client: Client) -> None:
    busy = {"status": 429, "reason": "TooManyRequests", "message": "wait", "headers": {"Retry-After": "7"}}
    await tell(
        client, rule("GET", "/api/v1/namespaces/*/pods", {**busy, "times": 2}, {"status": 500, "text": "no"})
    )
    assert (await client.request("GET", MAPS)).status == 200
    for _ in range(2):
        answer = await client.request("GET", PODS)
        assert (answer.status, answer.body["reason"], answer.headers["Retry-After"]) == (
            429,
            "TooManyRequests",
            "7",
        )
    answer = await client.request("GET", PODS)
    assert (answer.status, answer.content_type, answer.body) == (500, "text/plain; charset=utf-8", "no")
    assert (await client.request("GET", PODS)).status == 200
    assert (await client.request("GET", TOLD)).body["refusals"][0]["answers"] == 0


async def test_an_answer_can_be_lost_with_or_without_the_work(client: Client) -> None:
    await tell(client, rule("POST", MAPS, {"status": 0}, {"status": 0, "done": True}))
    for name in ("a", "b"):
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.request("POST", MAPS, {"metadata": {"name": name}})
    assert (await client.request("GET", f"{MAPS}/a")).status == 404
    assert (await client.request("GET", f"{MAPS}/b")).status == 200


async def test_only_the_administrator_tells_and_what_is_no_rule_is_refused(client: Client) -> None:
    token = client.cluster.unprivileged_token
    assert await tell(client, rule("GET", PODS, {"status": 500}), token=token) in (403, 404, 405)
    assert (await client.request("GET", PODS)).status == 200
    for answers in (
        [{"status": 7}],
        [{"status": "500"}],
        [{"state": 500}],
        [{"status": 500, "times": 2000}],
        7,
    ):
        assert await tell(client, {"method": "GET", "path": PODS, "answers": answers}) == 400
    assert (await client.request("GET", PODS)).status == 200
