"""A session whose image floods in the place of a shell: its commands end with one result, and so does it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from shared.app.composition import App
from shared.core.commands import Command
from shared.core.sessions.model import Resources, Session, SessionState
from shared.core.sessions.new_session import NewSession
from shared.kube.api.client import KubeApi
from shared.kube.exec.transcript import MAX_UNEXPLAINED_BYTES
from shared.settings import Settings
from shared.web.api.exec_response import respond
from shared.web.http.call import Call
from shared.web.http.request_body import RequestBody
from shared.web.http.routing import Route
from tests.contract.conftest import Target, gateway_settings, target_in
from tests.support.needs import needs
from tests.support.people import ALICE, ROOT
from tests.support.web_app import ask, serving

MOST_HELD = 2 * MAX_UNEXPLAINED_BYTES
NAME = "floods"
SHELL = shutil.which("bash")

FLOOD = f"""\
#!{SHELL}
# The pod's main process is a shell as others are. Whatever comes later, what ends a command too, is a flood.
case $2 in
*"trap 'exit 0' TERM INT"*) exec {SHELL} "$@" ;;
esac
yes "a line that no supervisor says" >&2 &
exec yes "and one of what no command says"
"""

# The images of a real cluster have one shell, and this needs one that is not called sh.
pytestmark = needs("bash", "local cluster")


@pytest.fixture(scope="module")
def place(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A namespace of its own: what is in it is no other test's for cleanup to look at."""
    folder = tmp_path_factory.mktemp("floods")
    with target_in(f"{target.namespace}-floods", target.kubeconfig, folder) as own:
        yield own


@pytest.fixture
async def app(place: Target, kube: KubeApi, tmp_path: Path) -> AsyncIterator[App]:
    """An instance whose PodTemplate mounts the flood where an image has its shell."""
    core = f"/api/v1/namespaces/{place.namespace}"
    shell = {"name": "shell", "mountPath": "/bin/sh", "subPath": "sh", "readOnly": True}
    template = {
        "metadata": {},
        "spec": {
            "containers": [{"name": "session", "image": place.image, "volumeMounts": [shell]}],
            "volumes": [{"name": "shell", "configMap": {"name": NAME, "defaultMode": 0o755}}],
        },
    }
    made = {
        "configmaps": {"apiVersion": "v1", "kind": "ConfigMap", "data": {"sh": FLOOD}},
        "podtemplates": {"apiVersion": "v1", "kind": "PodTemplate", "template": template},
    }
    for resource, item in made.items():
        await kube.request("POST", f"{core}/{resource}", body={**item, "metadata": {"name": NAME}})
    settings = {
        **gateway_settings(place, tmp_path),
        "KUBECONFIG": place.kubeconfig,
        "K8S_POD_TEMPLATE": NAME,
        "ADMIN_EMAILS": ROOT.email,
    }
    application = App(Settings.from_env(settings))
    yield application
    await application.close()
    for resource in made:
        await kube.request("DELETE", f"{core}/{resource}/{NAME}")


async def created(app: App) -> Session:
    new = NewSession(
        name="",
        image=app.settings.images.default,
        resources=Resources("50m", "64Mi"),
        labels={},
        env={},
        ttl_seconds=3600,
        idle_seconds=600,
        wait_seconds=60,
    )
    session = await app.sessions.create(ALICE, new)
    assert session.state is SessionState.RUNNING
    return session


def require_little_held(app: App) -> None:
    assert app.held.peak <= MOST_HELD
    assert app.held.now == 0


async def execute(app: App, session: Session, accept: str) -> list[dict[str, Any]]:
    """The objects of an exec's answer."""

    async def handler(call: Call) -> Response:
        events = app.sessions.execute(call.caller, session.id, Command(argv=["true"], timeout_seconds=600))
        return await respond(call, events, RequestBody(), app.answers)

    routes = [Route("POST", "/exec", handler)]
    served = serving(routes, lambda: app)
    answer = await ask(served, "/exec", method="POST", headers={"Accept": accept})
    assert answer.status_code == 200
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_a_command_ends_with_one_clear_result_and_its_owner_ends_the_session(app: App) -> None:
    session = await created(app)
    async with asyncio.timeout(300):
        for accept in ("application/json", "application/x-ndjson"):
            *before, end = await execute(app, session, accept)
            assert end["result"] == "start_failed"
            assert end["reason"].startswith("the image's shell could not start the command")
            assert "that no supervisor says" in end["reason"] or "more than a command may" in end["reason"]
            assert [event for event in before if event["type"] != "heartbeat"] == []
        assert (await app.sessions.delete(ALICE, session.id)).state is SessionState.DELETED
    require_little_held(app)


async def test_an_administrator_and_cleanup_end_it_whatever_it_says(app: App) -> None:
    session, idle = await created(app), await created(app)
    now = datetime.now(UTC)
    idle = await app.store.sessions.update(dataclasses.replace(idle, last_used_at=now - timedelta(hours=2)))
    async with asyncio.timeout(300):
        assert (await app.sessions.delete(ROOT, session.id)).state is SessionState.DELETED
        # That it is idle, its pod will not say: it is asked once, later again, and ends with its time.
        report = await app.cleanup.run(dry_run=False)
        [left] = [one for one in report.decisions if one.name == idle.id]
        assert (left.action, report.faults) == ("left", [])
        looked = await app.store.sessions.get(idle.id)
        assert looked is not None
        assert (looked.state, looked.failed_looks) == (SessionState.RUNNING, 1)
        await app.store.sessions.update(dataclasses.replace(looked, expires_at=now - timedelta(seconds=1)))
        report = await app.cleanup.run(dry_run=False)
        assert [one.action for one in report.decisions if one.name == idle.id] == ["deleted"]
    require_little_held(app)
