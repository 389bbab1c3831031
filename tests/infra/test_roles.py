"""The Roles allow what the functions do, each what it does, and nothing more.

Every function runs alone, as a user of its own that has its Roles. The cluster says who asked
for what: nothing may be denied, and nothing may be allowed that nobody asks for.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from local import manifests
from local.cluster import LocalCluster
from local.cluster.api.access import Attributes, User
from shared.app.instance import SystemClock
from shared.core.sessions.names import pod_labels
from shared.store.installation import StoredInstallation
from tests.support import installation
from tests.support.client import Client, Json
from tests.support.files_client import Files
from tests.support.gam_files import gam_files
from tests.support.gateway_process import ROOT, server
from tests.support.laptop import base_environment
from tests.support.ports import free_port
from tests.support.stores import SqliteStore

Right = tuple[str, str, str, str]
"""API group, resource with subresource, verb, and of a namespace its name."""

FUNCTIONS = sorted(source.parent.name for source in (ROOT / "functions").glob("*/main.py"))
VALUES = {**manifests.defaults(), "max_session_cpu": "9k", "quota_cpu": "9k"}
ROLE_KINDS = ("Role", "ClusterRole")
ROLES = manifests.function_roles()
CALLER = "ann@example.com"


def user_of(function: str) -> str:
    return f"{function.replace('_', '-')}@demo.iam.gserviceaccount.com"


def rights_of(role: str) -> set[Right]:
    """What a Role allows."""
    objects = manifests.objects(VALUES, {})
    rules = next(o["rules"] for o in objects if o["kind"] in ROLE_KINDS and o["metadata"]["name"] == role)
    return {
        (group, resource, verb, name)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


@dataclasses.dataclass
class Record:
    """What each user asked the cluster for."""

    used: dict[str, set[Right]] = dataclasses.field(default_factory=lambda: defaultdict(set))
    denied: list[str] = dataclasses.field(default_factory=list)

    def __call__(self, user: User, wanted: Attributes, allowed: bool) -> None:
        resource = f"{wanted.resource}/{wanted.subresource}".rstrip("/")
        name = wanted.name if resource == "namespaces" else ""
        self.used[user.name].add((wanted.group, resource, wanted.verb, name))
        inside = wanted.namespace == VALUES["k8s_namespace"] or name == "kube-system"
        if not allowed or (user.name.endswith("com") and not inside):
            self.denied.append(f"{user.name} {wanted}")


@dataclasses.dataclass
class Functions:
    """All functions, each a process of its own, and what they asked for."""

    record: Record
    clients: dict[str, Client]
    admin: str
    database: Path

    def __getitem__(self, function: str) -> Client:
        return self.clients[function]


@pytest.fixture
async def functions(tmp_path: Path) -> AsyncIterator[Functions]:
    record, tokens = Record(), {function: secrets.token_urlsafe() for function in FUNCTIONS}
    images = tmp_path / "images"
    images.mkdir()
    async with contextlib.AsyncExitStack() as stack:
        users = {token: user_of(function) for function, token in tokens.items()}
        cluster = LocalCluster(tmp_path / "cluster", images, users=users, observer=record)
        await stack.enter_async_context(cluster)
        made = manifests.objects(VALUES, {function: user_of(function) for function in FUNCTIONS})
        await installation.create(str(cluster.kubeconfig), made)
        http = await stack.enter_async_context(aiohttp.ClientSession())

        async def start(function: str) -> Client:
            kubeconfig = tmp_path / f"{function}.kubeconfig"
            kubeconfig.write_text(cluster.kubeconfig_of(function, tokens[function]))
            run = _server(function, kubeconfig, tmp_path)
            # In a thread, as it waits and the cluster is served meanwhile.
            url = await asyncio.to_thread(run.__enter__)
            stack.push(run)
            return Client(http, url, CALLER)

        clients = await asyncio.gather(*map(start, FUNCTIONS))
        clients_of = dict(zip(FUNCTIONS, clients, strict=True))
        yield Functions(record, clients_of, str(cluster.kubeconfig), tmp_path / "sessions.db")


@contextlib.contextmanager
def _server(function: str, kubeconfig: Path, folder: Path) -> Any:
    port = free_port()
    command = [
        *(sys.executable, "-m", "shared.app.serve"),
        *("--source", f"functions/{function}/main.py"),
        *("--target", function),
        *("--host", "127.0.0.1"),
        *("--port", str(port)),
    ]
    environment = base_environment(
        KUBECONFIG=str(kubeconfig),
        SQLITE_PATH=str(folder / "sessions.db"),
        AUTH_MODE="dev",
        SESSION_STORE="sqlite",
        SESSION_IMAGE="localhost/busybox:1",
        K8S_SERVICE_ACCOUNT=VALUES["k8s_service_account"],
        K8S_POD_TEMPLATE=VALUES["k8s_pod_template"],
        ADMIN_EMAILS=CALLER,
        CLEANUP_CALLERS=CALLER,
        MAX_SESSION_CPU="9k",
        MAX_CPU_PER_OWNER="9k",
        ORPHAN_GRACE_SECONDS="1",
    )
    with server(command, port, environment, folder / f"{function}.log") as (_, url):
        yield url


def test_every_function_has_a_row_and_every_role_a_function() -> None:
    assert set(FUNCTIONS) <= set(ROLES)
    objects = manifests.objects(VALUES, {function: user_of(function) for function in ROLES})
    roles = {o["metadata"]["name"] for o in objects if o["kind"] in ROLE_KINDS}
    assert roles == {role for granted in ROLES.values() for role in granted}
    bindings = [o for o in objects if o["kind"] in ("RoleBinding", "ClusterRoleBinding")]
    assert {binding["roleRef"]["name"] for binding in bindings} == roles
    for binding in bindings:
        bound = {subject["name"] for subject in binding["subjects"]}
        assert bound == {user_of(f) for f, granted in ROLES.items() if binding["roleRef"]["name"] in granted}


async def test_the_roles_allow_what_the_functions_do_and_nothing_else(functions: Functions) -> None:
    await asyncio.gather(use_everything(functions), _waited_for(functions["create_session"]))
    record = functions.record
    assert record.denied == []
    used = {function: record.used[user_of(function)] for function in FUNCTIONS}
    for function in FUNCTIONS:
        for role in ROLES[function]:
            others = set().union(*(rights_of(other) for other in ROLES[function] if other != role))
            assert used[function] & (rights_of(role) - others), f"{function} does not need {role}"
    for role in {role for function in FUNCTIONS for role in ROLES[function]}:
        holders = [used[function] for function in FUNCTIONS if role in ROLES[function]]
        assert rights_of(role) - set().union(*holders) == set(), f"{role} allows more than anybody does"


async def use_everything(functions: Functions) -> None:
    """Every function does all that it can do in the cluster."""
    await _credentials_before(functions["credentials"])
    session = await functions["create_session"].create()
    await _refused(functions["create_session"])
    at = f"/v1/sessions/{session['id']}"
    await _ok(functions["get_session"], "GET", at)
    await _ok(functions["list_sessions"], "GET", "/v1/sessions")
    await _ok(functions["health"], "GET", "/readyz")
    result = await functions["exec_command"].execute(session, "sleep 1; cat ~/.gam/oauth2.txt")
    assert result["exit_code"] == 0
    files = Files(functions["session_files"], session)
    assert (await files.put("file", b"content")).status == 201
    assert (await files.get("file")).body == b"content"
    await _ok(functions["credentials"], "POST", f"{at}/credentials:refresh")
    await _ok(functions["credentials"], "DELETE", "/v1/credentials")
    await _owners(functions)
    await _jobs(functions, at)
    await _ok(functions["update_session"], "POST", f"{at}/keepalive")
    await _ok(functions["session_audit"], "GET", f"{at}/audit")
    await _ok(functions["delete_session"], "DELETE", at)
    await _cleanup(functions)


async def _cleanup(functions: Functions) -> None:
    """An idle session is ended, and a secret of none deleted."""
    session = await functions["create_session"].create()
    store = SqliteStore(functions.database, clock=SystemClock())
    stored = await store.get(session["id"])
    assert stored is not None
    long_ago = datetime.now(UTC) - timedelta(days=1)
    await store.update(dataclasses.replace(stored, last_used_at=long_ago, idle_seconds=60))
    labels = pod_labels("saaaaaaaaaaaaaaaa", CALLER, await StoredInstallation(store.engine).id())
    await store.close()
    metadata = {"name": "orphan", "namespace": VALUES["k8s_namespace"], "labels": labels}
    orphan = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    await installation.create(functions.admin, [orphan])
    await asyncio.sleep(2.1)  # older than ORPHAN_GRACE_SECONDS, by times that are whole seconds
    report = await _ok(functions["cleanup_sessions"], "POST", "/v1/cleanup")
    assert (report["sessions"]["deleted"], report["orphans"]["secret"]) == (1, 1), report


async def _owners(functions: Functions) -> None:
    """An administrator passes credentials on, and removes them."""
    await _credentials_before(functions["credentials"])
    at = f"/v1/owners/{CALLER}"
    status, passed, _ = await functions["owners"].call("POST", f"{at}/rebind", {"subject": "google:42"})
    assert (status, passed["credentials"]) == (200, ["oauth2.txt"]), passed
    removed = await _ok(functions["owners"], "DELETE", f"{at}/credentials")
    assert removed["removed"] == ["oauth2.txt"]
    back = {"subject": f"dev:{CALLER}"}  # its owner goes on with the sessions
    assert (await functions["owners"].call("POST", f"{at}/rebind", back))[0] == 200


async def _credentials_before(client: Client) -> None:
    for content in gam_files("old")["oauth2.txt"], gam_files("new")["oauth2.txt"]:
        url, headers = f"{client.url}/v1/credentials/oauth2.txt", {"X-Dev-User": client.user}
        async with client.http.put(url, data=content, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
    await _ok(client, "GET", "/v1/credentials")


async def _waited_for(client: Client) -> None:
    """A pod that does not start for want of a node is looked at again when the watch has said nothing."""
    body = {"resources": {"cpu": "1k"}, "wait_seconds": 11}
    status, answer, _ = await client.call("POST", "/v1/sessions", body)
    assert status == 202, answer


async def _refused(client: Client) -> None:
    """A pod that cannot start is deleted by who made it."""
    status, answer, _ = await client.call("POST", "/v1/sessions", {"image": "localhost/NO:1"})
    assert status == 422, answer


async def _jobs(functions: Functions, at: str) -> None:
    """One that ends while its output is followed, and one that the session's end meets."""
    jobs, ids = functions["session_jobs"], []
    for command in "sleep 1", "sleep 60":
        status, job, _ = await jobs.call("POST", f"{at}/jobs", {"command": command})
        assert status == 201, job
        ids.append(job["job_id"])
    await _ok(jobs, "GET", f"{at}/jobs")
    follower = functions["job_output"]
    url, headers = f"{follower.url}{at}/jobs/{ids[0]}/output?follow=true", {"X-Dev-User": follower.user}
    async with follower.http.get(url, headers=headers) as answer:
        assert '"exited"' in await answer.text()


async def _ok(client: Client, method: str, path: str) -> Json:
    status, answer, _ = await client.call(method, path)
    assert status == 200, answer
    return answer
