"""Lists, watches, updates, patches and deletions of objects."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from local.cluster import LocalCluster

from .client import Client

_MAPS = "/api/v1/namespaces/rec/configmaps"


async def _make(client: Client, *names: str, **labels: str) -> None:
    for name in names:
        await client.create(_MAPS, {"metadata": {"name": name, "labels": labels}, "data": {"a": "1"}})


def _names(body: dict[str, Any]) -> list[str]:
    return [item["metadata"]["name"] for item in body["items"]]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("app=x", ["a", "b"]),
        ("app!=x", ["c"]),
        ("app+in+(x,y)", ["a", "b", "c"]),
        ("app+notin+(x)", ["c"]),
        ("app,tier=front", ["a"]),
        ("!tier", ["b", "c"]),
    ],
)
async def test_label_selectors(client: Client, selector: str, expected: list[str]) -> None:
    for name, labels in (("a", {"app": "x", "tier": "front"}), ("b", {"app": "x"}), ("c", {"app": "y"})):
        await _make(client, name, **labels)
    assert _names(await client.get(f"{_MAPS}?labelSelector={selector}")) == expected


async def test_pages_continue_where_the_last_one_ended(client: Client) -> None:
    await _make(client, *(f"m{number}" for number in range(5)))
    seen, token, remaining = [], "", []
    while True:
        page = await client.get(f"{_MAPS}?limit=2&continue={token}")
        seen += _names(page)
        token = page["metadata"].get("continue", "")
        if not token:
            break
        remaining.append(page["metadata"]["remainingItemCount"])
    assert seen == [f"m{number}" for number in range(5)]
    assert remaining == [3, 1]


async def test_a_watch_resumes_without_gap_or_repetition(client: Client) -> None:
    await _make(client, "a")
    version = (await client.get(_MAPS))["metadata"]["resourceVersion"]
    await _make(client, "b")
    await client.request("DELETE", f"{_MAPS}/a")
    await _make(client, "c")
    seen = await client.until(
        f"{_MAPS}?watch=1&resourceVersion={version}", lambda event: event["object"]["metadata"]["name"] == "c"
    )
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in seen] == [
        ("ADDED", "b"),
        ("DELETED", "a"),
        ("ADDED", "c"),
    ]


async def test_leaving_the_selector_is_a_deletion_to_the_watch(client: Client) -> None:
    await _make(client, "a", app="x")
    merge = "application/merge-patch+json"
    await client.request("PATCH", f"{_MAPS}/a", {"metadata": {"labels": {"app": "y"}}}, content_type=merge)
    await client.request("PATCH", f"{_MAPS}/a", {"metadata": {"labels": {"app": "x"}}}, content_type=merge)
    path = f"{_MAPS}?watch=1&resourceVersion=1&labelSelector=app%3Dx&timeoutSeconds=1"
    async with client.watch(path) as events:
        assert [event["type"] async for event in events] == ["ADDED", "DELETED", "ADDED"]


async def test_a_forgotten_resource_version_is_expired(tmp_path: Path) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        LocalCluster(tmp_path, history=50) as small,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        client = Client(small, session)
        await client.create("/api/v1/namespaces", {"metadata": {"name": "rec"}})
        for number in range(60):
            await _make(client, f"m{number}")
        path = f"{_MAPS}?watch=1&resourceVersion=2"
        events = await client.until(path, lambda event: event["type"] == "ERROR")
    status = events[0]["object"]
    assert (status["code"], status["reason"]) == (410, "Expired")
    assert status["message"].startswith("too old resource version: 2 (")


async def test_an_update_of_an_old_version_conflicts(client: Client) -> None:
    await _make(client, "a")
    old = await client.get(f"{_MAPS}/a")
    assert (await client.request("PUT", f"{_MAPS}/a", {**old, "data": {"a": "2"}})).status == 200
    answer = await client.request("PUT", f"{_MAPS}/a", {**old, "data": {"a": "3"}})
    assert (answer.status, answer.body["reason"]) == (409, "Conflict")
    assert answer.body["message"] == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    assert (await client.get(f"{_MAPS}/a"))["data"] == {"a": "2"}


async def test_an_update_without_change_writes_nothing(client: Client) -> None:
    await _make(client, "a")
    before = await client.get(f"{_MAPS}/a")
    after = (await client.request("PUT", f"{_MAPS}/a", before)).body
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_a_deletion_may_demand_a_uid(client: Client) -> None:
    await _make(client, "a")
    refused = await client.request("DELETE", f"{_MAPS}/a", {"preconditions": {"uid": "other"}})
    assert (refused.status, refused.body["reason"]) == (409, "Conflict")
    uid = (await client.get(f"{_MAPS}/a"))["metadata"]["uid"]
    assert (await client.request("DELETE", f"{_MAPS}/a", {"preconditions": {"uid": uid}})).status == 200


async def test_a_collection_is_deleted_by_selector(client: Client) -> None:
    await _make(client, "a", "b", app="x")
    await _make(client, "c", app="y")
    await client.request("DELETE", f"{_MAPS}?labelSelector=app%3Dx")
    assert _names(await client.get(_MAPS)) == ["c"]


async def test_generated_names_are_valid_and_differ(client: Client) -> None:
    made = [await client.create(_MAPS, {"metadata": {"generateName": "gen-"}}) for _ in range(3)]
    names = {item["metadata"]["name"] for item in made}
    assert len(names) == 3
    assert all(name.startswith("gen-") and len(name) == 9 for name in names)


async def test_a_dry_run_keeps_nothing(client: Client) -> None:
    await client.create(f"{_MAPS}?dryRun=All", {"metadata": {"name": "a"}})
    assert _names(await client.get(_MAPS)) == []


async def test_finalizers_hold_an_object_until_they_are_gone(client: Client) -> None:
    await client.create(_MAPS, {"metadata": {"name": "a", "finalizers": ["example.com/f"]}})
    held = await client.request("DELETE", f"{_MAPS}/a")
    assert "deletionTimestamp" in held.body["metadata"]
    patch = {"metadata": {"finalizers": None}}
    await client.request("PATCH", f"{_MAPS}/a", patch, content_type="application/merge-patch+json")
    assert (await client.request("GET", f"{_MAPS}/a")).status == 404


async def test_the_status_subresource_changes_status_alone(client: Client) -> None:
    # No controller writes the status of this kind.
    path = "/apis/networking.k8s.io/v1/namespaces/rec/ingresses"
    await client.create(path, {"metadata": {"name": "i"}, "spec": {"ingressClassName": "a"}})
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    patch = {"spec": {"ingressClassName": "b"}, "status": status}
    merge = "application/merge-patch+json"
    changed = (await client.request("PATCH", f"{path}/i/status", patch, content_type=merge)).body
    assert (changed["spec"], changed["status"]) == ({"ingressClassName": "a"}, status)
    assert changed["metadata"]["generation"] == 1
    other = {"spec": {"ingressClassName": "b"}, "status": {"loadBalancer": {}}}
    changed = (await client.request("PATCH", f"{path}/i", other, content_type=merge)).body
    assert (changed["spec"], changed["status"]) == ({"ingressClassName": "b"}, status)
    assert changed["metadata"]["generation"] == 2


async def test_a_bookmark_ends_a_watch_that_asked_for_them(client: Client) -> None:
    path = f"{_MAPS}?watch=1&allowWatchBookmarks=true&timeoutSeconds=1"
    events = await client.until(path, lambda event: event["type"] == "BOOKMARK")
    assert events[-1]["object"]["kind"] == "ConfigMap"
    assert int(events[-1]["object"]["metadata"]["resourceVersion"]) > 0


async def test_a_watch_with_initial_events_says_when_all_were_sent(client: Client) -> None:
    for name in ("a", "b"):
        await _make(client, name)
    reached = int((await client.get(_MAPS))["metadata"]["resourceVersion"])
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    events = await client.until(f"{_MAPS}?{query}", lambda event: event["type"] == "BOOKMARK")
    assert [event["object"]["metadata"].get("name") for event in events] == ["a", "b", None]
    end = events[-1]["object"]["metadata"]
    assert end["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(end["resourceVersion"]) == reached
    # From there on the watch goes on as any other, without gap.
    await _make(client, "c")
    path = f"{_MAPS}?watch=1&resourceVersion={end['resourceVersion']}"
    assert [event["type"] for event in await client.until(path, lambda _: True)] == ["ADDED"]


async def test_a_watch_without_initial_events_begins_with_what_comes(client: Client) -> None:
    await _make(client, "a")
    query = "watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    path = f"{_MAPS}?{query}&timeoutSeconds=1"
    events = await client.until(path, lambda event: event["type"] == "BOOKMARK")
    assert [event["type"] for event in events] == ["BOOKMARK"]
    assert "annotations" not in events[0]["object"]["metadata"]


_NEEDS_MATCH = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
_NOT_IN_WATCH = "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
_NOT_WITH_CONTINUE = "Forbidden: resourceVersionMatch is forbidden when continue is provided"


@pytest.mark.parametrize(
    ("query", "fields", "told"),
    [
        ("watch=1&sendInitialEvents=true", ["resourceVersionMatch"], [_NEEDS_MATCH]),
        ("watch=1&sendInitialEvents=false", ["resourceVersionMatch"], [_NEEDS_MATCH]),
        ("watch=1&resourceVersionMatch=NotOlderThan", ["resourceVersionMatch"], [_NOT_IN_WATCH]),
        (
            "watch=1&sendInitialEvents=true&resourceVersionMatch=Exact",
            ["resourceVersionMatch"] * 2,
            [_NEEDS_MATCH, 'Unsupported value: "Exact": supported values: "NotOlderThan"'],
        ),
        (
            "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&continue=123",
            ["resourceVersionMatch"],
            [_NOT_WITH_CONTINUE],
        ),
        (
            "sendInitialEvents=false",
            ["sendInitialEvents"],
            ["Forbidden: sendInitialEvents is forbidden for list"],
        ),
        (
            "resourceVersionMatch=Exact",
            ["resourceVersionMatch"],
            ["Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"],
        ),
        (
            "resourceVersionMatch=foo&resourceVersion=0",
            ["resourceVersionMatch"],
            ['Unsupported value: "foo": supported values: "Exact", "NotOlderThan", ""'],
        ),
        (
            "resourceVersionMatch=Exact&resourceVersion=0",
            ["resourceVersionMatch"],
            ['Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"'],
        ),
    ],
)
async def test_options_that_do_not_go_together_are_refused_as_kubernetes_does(
    client: Client, query: str, fields: list[str], told: list[str]
) -> None:
    """As in the table of k8s.io/apimachinery, pkg/apis/meta/internalversion/validation."""
    answer = await client.request("GET", f"{_MAPS}?{query}")
    assert (answer.status, answer.body["reason"]) == (422, "Invalid")
    details = answer.body["details"]
    assert (details["group"], details["kind"]) == ("meta.k8s.io", "ListOptions")
    assert [cause["field"] for cause in details["causes"]] == fields
    assert [cause["message"] for cause in details["causes"]] == told
    listed = ", ".join(f"{field}: {why}" for field, why in zip(fields, told, strict=True))
    listed = f"[{listed}]" if len(told) > 1 else listed
    assert answer.body["message"] == f'ListOptions.meta.k8s.io "" is invalid: {listed}'


async def test_a_body_of_no_declared_type_is_json(client: Client) -> None:
    """The official client says no type; the API server takes the first of those that it knows."""
    body = {"metadata": {"name": "untold"}, "data": {"a": "b"}}
    path = "/api/v1/namespaces/rec/configmaps"
    answer = await client.request("POST", path, body, content_type=None, untyped=True)
    assert (answer.status, answer.body["data"]) == (201, {"a": "b"})
