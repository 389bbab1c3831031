"""Whatever comes in, the answer is a Status and the cluster lives."""

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.cluster.api.requests import Target
from local.cluster.api.writes import create
from local.cluster.api.writes import patch as apply_patch
from local.cluster.objects.errors import ApiError
from local.cluster.objects.resources import NAMESPACES, RESOURCES, Resource
from local.cluster.provisioning import give_account, make_namespace
from local.cluster.store import Store

from .client import Client, pod_manifest

_PODS = "/api/v1/namespaces/rec/pods"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"metadata":{"name":"\\ud800"}}',
        b'{"metadata":{"name":"a"},"spec":NaN}',
        b"[" * 100_000,
        b'{"spec":' * 400 + b"1" + b"}" * 400,
        json.dumps({"metadata": []}).encode(),
        json.dumps({"metadata": {"name": 5}}).encode(),
        json.dumps({"metadata": {"name": "a", "labels": {"x": 1}}}).encode(),
        json.dumps({"kind": "Secret", "metadata": {"name": "a"}}).encode(),
        json.dumps({"metadata": {"name": "a"}, "spec": {"containers": [None]}}).encode(),
        json.dumps({"metadata": {"name": "a"}, "spec": {"containers": [7]}}).encode(),
        json.dumps({"metadata": {"name": "a", "namespace": "other"}, "spec": {}}).encode(),
    ],
)
async def test_bodies_that_are_no_pods_are_400(client: Client, body: bytes) -> None:
    answer = await client.request("POST", _PODS, body)
    assert (answer.status, answer.body["kind"], answer.body["reason"]) == (400, "Status", "BadRequest")


async def test_yaml_that_grows_is_refused(client: Client) -> None:
    bomb = b"a: &a [x, x]\nb: &b [*a, *a]\ndata: {c: [*b, *b]}\n"
    path = "/api/v1/namespaces/rec/configmaps/bomb?fieldManager=test"
    answer = await client.request("PATCH", path, bomb, content_type="application/apply-patch+yaml")
    assert (answer.status, answer.body["reason"]) == (400, "BadRequest")


async def test_a_body_above_the_limit_is_413(client: Client) -> None:
    body = json.dumps({"metadata": {"name": "a"}, "data": {"a": "x" * 3_200_000}}).encode()
    answer = await client.request("POST", "/api/v1/namespaces/rec/configmaps", body)
    assert (answer.status, answer.body["reason"]) == (413, "RequestEntityTooLarge")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/cbor"])
async def test_other_formats_are_415(client: Client, kind: str) -> None:
    answer = await client.request("POST", _PODS, b"{}", content_type=kind)
    assert (answer.status, answer.body["reason"]) == (415, "UnsupportedMediaType")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/api/v2/pods",
        "/api/v1/nothing",
        "/apis/none/v1/things",
        "/api/v1/pods/x",
        "/api/v1/namespaces/rec/pods/x/nothing",
        "/api/v1/namespaces/rec/nodes",
        "/api/v1/namespaces//pods",
        "/api/v1/namespaces/rec/pods/a/b/c/d",
        "/api/v1/namespaces/rec/pods/..%2f..%2fetc",
        "/api/v1/namespaces/rec/pods/%00",
        "/api/v1/namespaces/..%2f../pods/x",
    ],
)
async def test_paths_that_lead_nowhere_are_404(client: Client, path: str) -> None:
    answer = await client.request("GET", path)
    assert (answer.status, answer.body["reason"]) == (404, "NotFound")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "POST"])
async def test_verbs_in_the_wrong_place_are_405(client: Client, method: str) -> None:
    path = f"{_PODS}/x" if method == "POST" else _PODS
    answer = await client.request(method, path, {})
    assert (answer.status, answer.body["reason"]) == (405, "MethodNotAllowed")


@pytest.mark.parametrize(
    "query",
    [
        "labelSelector=(",
        "labelSelector=a%20in%20b",
        "fieldSelector=spec.x=1",
        "fieldSelector=x",
        "limit=-1",
        "continue=%21%21",
        "continue=bm90anNvbg",
        "watch=1&resourceVersion=abc",
        "watch=1&timeoutSeconds=1e9",
    ],
)
async def test_queries_that_do_not_parse_are_400(client: Client, query: str) -> None:
    answer = await client.request("GET", f"{_PODS}?{query}")
    assert (answer.status, answer.body["reason"]) == (400, "BadRequest")


async def test_names_and_paths_in_a_pod_cannot_lead_out_of_its_folder(client: Client, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    item = {"key": "k", "path": "../../../../outside"}
    await client.create(
        "/api/v1/namespaces/rec/secrets", {"metadata": {"name": "s"}, "stringData": {"k": "v"}}
    )
    volumes = [{"name": "v", "secret": {"secretName": "s", "items": [item]}}]
    await client.create(_PODS, pod_manifest("p", volumes=volumes))
    events = await client.events_of("p", 2)
    assert any("invalid path" in event["message"] for event in events)
    assert not outside.exists()
    for mount in (
        {"mountPath": "/a/../../b"},
        {"mountPath": "relative"},
        {"mountPath": "/a", "subPath": "../x"},
    ):
        manifest = pod_manifest("q", volumes=[{"name": "v", "emptyDir": {}}])
        manifest["spec"]["containers"][0]["volumeMounts"] = [{"name": "v", **mount}]
        answer = await client.request("POST", _PODS, manifest)
        assert answer.status == 422, mount


async def test_half_a_request_does_no_harm(client: Client) -> None:
    port = int(client.cluster.url.rpartition(":")[2])
    for sent in (
        b"GET",
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01junk",
        b"POST /api/v1 HTTP/1.1\r\nContent-Length: 9\r\n\r\n",
    ):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        await writer.drain()
        writer.close()
    assert (await client.get("/api/v1/namespaces"))["kind"] == "NamespaceList"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "spec", "metadata", "labels", "containers", "env", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
_BODIES = st.fixed_dictionaries(
    {"metadata": st.just({"name": "fuzz", "namespace": "rec"}) | _JSON},
    optional={
        "spec": st.fixed_dictionaries(
            {"containers": st.lists(st.fixed_dictionaries({"name": _JSON, "image": _JSON}))}
        )
        | _JSON,
        "data": _JSON,
        "rules": _JSON,
        "template": _JSON,
        "status": _JSON,
        "roleRef": _JSON,
        "subjects": _JSON,
    },
)


@given(resource=st.sampled_from([one for one in RESOURCES if one.stored]), body=_BODIES, patch=_JSON)
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_json_is_either_stored_or_refused(resource: Resource, body: dict[str, Any], patch: Any) -> None:
    store = Store(10)
    store.put(NAMESPACES, make_namespace("rec", uuid.uuid4()))
    give_account(store, "rec")
    namespace = "rec" if resource.namespaced else ""
    try:
        made = create(store, Target("create", resource, namespace, "", "", {}), body)
        target = Target("patch", resource, namespace, made["metadata"]["name"], "", {})
        for kind in ("application/merge-patch+json", "application/strategic-merge-patch+json"):
            apply_patch(store, target, kind, patch)
    except ApiError as error:
        assert 400 <= error.code < 500


async def test_fuzzed_pods_never_break_a_worker(client: Client) -> None:
    odd: list[dict[str, Any]] = [
        {"volumes": [{"name": "v", "nfs": {}}]},
        {"securityContext": {"runAsUser": 2**31 - 1}},
        {"containers": [{"name": "c", "image": "localhost/busybox:1", "workingDir": "not/absolute"}]},
        {"containers": [{"name": "c", "image": "localhost/busybox:1", "command": [""]}]},
        {"containers": [{"name": "c", "image": "localhost/busybox:1", "command": ["a\0b"]}]},
        {
            "containers": [
                {"name": "c", "image": "localhost/busybox:1", "env": [{"name": "A", "value": "\0"}]}
            ]
        },
    ]
    for number, spec in enumerate(odd):
        await client.request("POST", _PODS, pod_manifest(f"p{number}", **spec))
    for number in range(len(odd)):
        answer = await client.request("DELETE", f"{_PODS}/p{number}?gracePeriodSeconds=0")
        assert answer.status in (200, 404)
    await client.create(_PODS, pod_manifest("fine"))
    await client.ready("fine")
