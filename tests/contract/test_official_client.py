"""The official Python client as an independent witness: our pods through it, on any cluster.

It has another reading of the Kubernetes API than our client and the local cluster have. It is the user with
the functions' Roles, so they are enough for whoever does what the functions do.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from kubernetes.aio import watch
from kubernetes.aio.client import V1ObjectMeta, V1Pod
from kubernetes.aio.client.exceptions import NotFoundException

from shared.app.composition import App
from shared.core.ids import new_session_id
from shared.core.sessions.model import Resources, Session, SessionState
from shared.core.sessions.names import SESSION_LABEL
from shared.core.sessions.pod import PodPhase
from shared.kube.api.client import KubeApi
from shared.kube.api.objects import Pod
from shared.kube.pods.diagnosis import CONTAINER, diagnose
from shared.kube.pods.manifest import PodOptions, pod_manifest
from shared.settings import Settings
from tests.contract.conftest import Target, gateway_settings
from tests.support.official import Ended, Official, official
from tests.support.patience import PATIENCE


@pytest.fixture
def built(target: Target, tmp_path: Path) -> dict[str, Any]:
    """A session's pod as the functions build it."""
    app = App(Settings.from_env(gateway_settings(target, tmp_path)))
    settings = app.settings
    now, session_id = datetime.now(UTC), new_session_id()
    session = Session(
        id=session_id,
        owner=f"official-{secrets.token_hex(4)}@example.com",
        name="",
        state=SessionState.PENDING,
        image=target.image,
        resources=Resources(settings.sessions.cpu, settings.sessions.memory),
        labels={},
        cluster="",
        namespace=target.namespace,
        pod_name=f"gam-{session_id}",
        created_at=now,
        last_used_at=now,
        expires_at=now + timedelta(hours=1),
        idle_seconds=600,
    )
    options = PodOptions.from_settings(settings.pods, app.job_limits, settings.sessions.max_ttl_seconds)
    return pod_manifest(session, options)


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    namespace: str
    name: str
    label: str


@pytest.fixture
async def place(built: Mapping[str, Any], kube: KubeApi) -> AsyncIterator[Place]:
    """Where the pod will be; it is removed whatever a test leaves."""
    metadata = built["metadata"]
    yield Place(
        metadata["namespace"], metadata["name"], f"{SESSION_LABEL}={metadata['labels'][SESSION_LABEL]}"
    )
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
    with contextlib.suppress(Exception):
        await kube.request("DELETE", path, params=[("gracePeriodSeconds", "0")])


@pytest.fixture
async def client(target: Target) -> AsyncIterator[Official]:
    async with official(target.functions_kubeconfig) as client:
        yield client


def kept(asked: Any, answered: Any) -> bool:
    """Whether all that was asked for is in the answer; a cluster may add to it."""
    if isinstance(asked, Mapping):
        return isinstance(answered, Mapping) and all(
            name in answered and kept(value, answered[name]) for name, value in asked.items()
        )
    if isinstance(asked, list) and asked and isinstance(asked[0], Mapping):
        return all(any(kept(item, other) for other in answered) for item in asked)
    return bool(asked == answered)


def is_ready(pod: V1Pod) -> bool:
    conditions = pod.status.conditions if pod.status is not None else None
    return any(one.type == "Ready" and one.status == "True" for one in conditions or ())


def metadata(pod: V1Pod) -> V1ObjectMeta:
    assert pod.metadata is not None
    return pod.metadata


async def until_ready(client: Official, place: Place, since: str) -> V1Pod:
    events = watch.Watch().stream(  # type: ignore[no-untyped-call] # it has no annotations
        client.core.list_namespaced_pod,
        place.namespace,
        label_selector=place.label,
        resource_version=since,
        timeout_seconds=round(PATIENCE),
    )
    async with events as stream:
        async for event in stream:
            pod: V1Pod = event["object"]
            assert event["type"] in ("ADDED", "MODIFIED")
            if is_ready(pod):
                return pod
    raise AssertionError("the pod did not become ready")


async def test_it_creates_watches_lists_uses_and_deletes_what_we_build(
    client: Official, place: Place, built: dict[str, Any], kube: KubeApi
) -> None:
    made = await client.core.create_namespaced_pod(place.namespace, V1Pod.model_validate(built))
    assert kept(built, made.to_dict(serialize=True))
    version = metadata(made).resource_version
    assert version
    ready = await until_ready(client, place, version)
    listed = await client.core.list_namespaced_pod(place.namespace, label_selector=place.label)
    assert [metadata(pod).uid for pod in listed.items] == [metadata(ready).uid]

    # Our client and the official one see the same.
    path = f"/api/v1/namespaces/{place.namespace}/pods/{place.name}"
    seen = await kube.request("GET", path)
    assert diagnose(cast("Pod", seen)).phase is PodPhase.READY
    assert seen["metadata"]["uid"] == metadata(ready).uid

    line = "echo said; echo complained >&2; exit 3"
    ended = await client.run(place.namespace, place.name, ["sh", "-c", line], CONTAINER)
    assert ended == Ended(3, b"said\n", b"complained\n")
    long = await client.run(place.namespace, place.name, ["head", "-c", "1000000", "/dev/zero"], CONTAINER)
    assert (long.code, len(long.stdout)) == (0, 1_000_000)

    await client.core.delete_namespaced_pod(place.name, place.namespace, grace_period_seconds=0)
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await client.core.read_namespaced_pod(place.name, place.namespace)
            except NotFoundException:
                break
            await asyncio.sleep(0.1)
    assert (await client.core.list_namespaced_pod(place.namespace, label_selector=place.label)).items == []
