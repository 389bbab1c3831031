"""Exec credential plugins: real programs, cached, renewed, and told of when they fail."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shlex
import time
from pathlib import Path
from typing import Any

import pytest

from shared.errors import ConnectionFailed
from shared.kube.api.client import KubeApi
from shared.kube.api.connection import Connection
from shared.kube.connect.connector import ClusterConnector
from shared.kube.connect.kubeconfig.exec_plugin import ExecPlugin
from shared.kube.connect.kubeconfig.fields import Origin
from shared.kube.connect.kubeconfig.model import parse
from shared.kube.connect.kubeconfig.subprocesses import run_program
from shared.kube.connect.resolver import resolve
from shared.reasons import Reason
from shared.settings.cluster import ClusterSettings
from tests.support.api_server import ApiServer
from tests.support.kubectl import kubectl, needs_kubectl
from tests.support.patience import PATIENCE
from tests.support.tls import Authority

AUTHORITY = Authority("cluster authority")
PAIR = AUTHORITY.issue("127.0.0.1")
V1 = "client.authentication.k8s.io/v1"
BETA = "client.authentication.k8s.io/v1beta1"


class Plugin:
    """A shell script beside a kubeconfig that names it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = "https://h"
        self.fields: dict[str, Any] = {
            "apiVersion": V1,
            "command": "./plugin",
            "interactiveMode": "Never",
        }
        self.cluster_fields: dict[str, Any] = {}
        self.user_fields: dict[str, Any] = {}

    def prints(self, version: str = V1, **status: str) -> None:
        """Prints credentials; ``$COUNT`` in them is how often it ran."""
        answer = json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status})
        self.runs(f"cat <<END\n{answer}\nEND")

    def runs(self, script: str) -> None:
        path = self.folder / "plugin"
        count = shlex.quote(str(self.folder / "count"))
        path.write_text(f"#!/bin/sh\necho >> {count}\nCOUNT=$(($(wc -l < {count})))\n{script}\n")
        path.chmod(0o700)

    @property
    def count(self) -> int:
        path = self.folder / "count"
        return len(path.read_text()) if path.exists() else 0

    def kubeconfig(self) -> str:
        authority = base64.b64encode(AUTHORITY.certificate).decode()
        cluster = {"server": self.server, "certificate-authority-data": authority, **self.cluster_fields}
        path = self.folder / "config"
        path.write_text(
            json.dumps(
                {
                    "clusters": [{"name": "c", "cluster": cluster}],
                    "users": [{"name": "u", "user": {"exec": self.fields, **self.user_fields}}],
                    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                    "current-context": "x",
                }
            )
        )
        return str(path)

    def credentials(self, **options: Any) -> ExecPlugin:
        path = Path(self.kubeconfig())
        config = parse(path.read_bytes(), Origin(str(path), path.parent))
        user = config.users["u"]
        assert user.exec is not None
        return ExecPlugin(user, user.exec, config.clusters["c"], None, **options)

    async def connect(self) -> Connection:
        return await resolve(ClusterSettings(kubeconfig=self.kubeconfig()))

    async def failure(self) -> ConnectionFailed:
        with pytest.raises(ConnectionFailed) as caught:
            await (await self.connect()).credentials.authorization()
        error = caught.value
        assert "SECRET" not in error.detail
        assert error.fields["user"] == "u"
        assert error.fields["file"] == str(self.folder / "config")
        return error


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    return Plugin(tmp_path)


@needs_kubectl
@pytest.mark.parametrize("version", [V1, BETA])
async def test_plugin_s_token_authenticates_as_with_kubectl(plugin: Plugin, version: str) -> None:
    plugin.fields["apiVersion"] = version
    plugin.prints(version, token="from-plugin")
    async with ApiServer(PAIR, accepted={"Bearer from-plugin"}) as server:
        plugin.server = f"https://{server.address}"
        status, _, errors = await kubectl(plugin.kubeconfig(), "get", "--raw", "/version")
        assert status == 0, errors
        api = KubeApi(ClusterConnector(ClusterSettings(kubeconfig=plugin.kubeconfig())))
        try:
            assert (await api.request("GET", "/version"))["gitVersion"]
        finally:
            await api.close()


async def test_plugin_s_client_certificate_authenticates(plugin: Plugin) -> None:
    clients = Authority("client authority")
    pair = clients.issue_client("from-plugin")
    plugin.prints(clientCertificateData=pair.certificate.decode(), clientKeyData=pair.key.decode())
    async with ApiServer(PAIR, client_authority=clients) as server:
        plugin.server = f"https://{server.address}"
        api = KubeApi(ClusterConnector(ClusterSettings(kubeconfig=plugin.kubeconfig())))
        try:
            await api.request("GET", "/version")
        finally:
            await api.close()
    assert server.peers == ["from-plugin"]
    assert server.seen == [""]


async def test_plugin_runs_once_for_all_and_again_when_refused(plugin: Plugin) -> None:
    plugin.prints(token="token-$COUNT")
    credentials = (await plugin.connect()).credentials
    assert plugin.count == 0, "it runs when it is needed"
    tokens = await asyncio.gather(*(credentials.authorization() for _ in range(20)))
    assert set(tokens) == {"Bearer token-1"}
    assert await credentials.authorization() == "Bearer token-1"
    refreshed = await asyncio.gather(*(credentials.authorization(refresh=True) for _ in range(20)))
    assert set(refreshed) == {"Bearer token-2"}
    assert plugin.count == 2


async def test_plugin_runs_again_shortly_before_its_credentials_expire(plugin: Plugin) -> None:
    now = 1_800_000_000.0
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 600))
    plugin.prints(token="token-$COUNT", expirationTimestamp=moment)
    credentials = plugin.credentials(now=lambda: now)
    assert await credentials.authorization() == "Bearer token-1"
    now += 539
    assert await credentials.authorization() == "Bearer token-1"
    now += 1
    assert await credentials.authorization() == "Bearer token-2"


@pytest.mark.parametrize("moment", ["2000-01-01T00:00:00Z", "2000-01-01T00:00:00.5+01:00"])
async def test_credentials_that_are_expired_already_are_not_kept(plugin: Plugin, moment: str) -> None:
    plugin.prints(token="token-$COUNT", expirationTimestamp=moment)
    credentials = (await plugin.connect()).credentials
    assert await credentials.authorization() == "Bearer token-1"
    assert await credentials.authorization() == "Bearer token-2"


@pytest.mark.parametrize("wants_cluster", [True, False])
async def test_plugin_is_told_what_the_protocol_says(
    plugin: Plugin, wants_cluster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INHERITED", "inherited")
    plugin.fields |= {
        "provideClusterInfo": wants_cluster,
        "args": ["--flag", "a b"],
        "env": [{"name": "FLAVOUR", "value": "x y"}],
    }
    plugin.cluster_fields = {
        "tls-server-name": "name",
        "extensions": [
            {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "a", "count": 1}},
            {"name": "other", "extension": {}},
        ],
    }
    plugin.runs(
        'printf "%s\\n" "$KUBERNETES_EXEC_INFO" "$1|$2|$FLAVOUR|$INHERITED" "stdin: $(cat)" '
        '> "${0%/*}/told"\n'
        f'echo \'{{"apiVersion": "{V1}", "kind": "ExecCredential", "status": {{"token": "t"}}}}\''
    )
    await (await plugin.connect()).credentials.authorization()
    info, arguments, stdin = (plugin.folder / "told").read_text().splitlines()
    spec: dict[str, Any] = {"interactive": False}
    if wants_cluster:
        spec["cluster"] = {
            "server": "https://h",
            "tls-server-name": "name",
            "certificate-authority-data": base64.b64encode(AUTHORITY.certificate).decode(),
            "config": {"audience": "a", "count": 1},
        }
    assert json.loads(info) == {"kind": "ExecCredential", "apiVersion": V1, "spec": spec}
    assert arguments == "--flag|a b|x y|inherited"
    assert stdin == "stdin: "


async def test_missing_plugin_gives_its_install_hint(plugin: Plugin) -> None:
    plugin.fields |= {"command": "no-such-plugin", "installHint": "Install it from\n  the usual place"}
    error = await plugin.failure()
    assert error.reason == Reason.EXEC_PLUGIN_MISSING
    assert "Install it from the usual place" in error.detail
    assert error.fields["command"] == "no-such-plugin"


async def test_missing_plugin_without_hint_says_what_to_do(plugin: Plugin) -> None:
    assert "install it" in (await plugin.failure()).detail


async def test_plugin_that_may_not_be_executed_is_an_error(plugin: Plugin) -> None:
    (plugin.folder / "plugin").write_text("text")
    assert "may be executed" in (await plugin.failure()).detail


async def test_failing_plugin_is_told_in_the_log_and_not_in_the_answer(
    plugin: Plugin, caplog: pytest.LogCaptureFixture
) -> None:
    plugin.runs("echo SECRET; echo you must log in first >&2; exit 3")
    error = await plugin.failure()
    assert error.reason == Reason.EXEC_PLUGIN_FAILED
    assert "exit status 3" in error.detail
    assert "you must log in first" in caplog.text
    assert "SECRET" not in caplog.text


@pytest.mark.parametrize(
    "output",
    [
        "",
        "SECRET",
        "[]",
        "{}",
        '{"kind": "ExecCredential"}',
        f'{{"kind": "ExecCredential", "apiVersion": "{V1}", "status": null}}',
        f'{{"kind": "ExecCredential", "apiVersion": "{V1}", "status": {{}}}}',
        f'{{"kind": "ExecCredential", "apiVersion": "{V1}", "status": {{"token": 5}}}}',
        f'{{"kind": "ExecCredential", "apiVersion": "{V1}", "status": {{"token": "SECRET X"}}}}',
        f'{{"kind": "ExecCredential", "apiVersion": "{BETA}", "status": {{"token": "SECRET"}}}}',
        f'{{"kind": "Pod", "apiVersion": "{V1}", "status": {{"token": "SECRET"}}}}',
        f'{{"kind": "ExecCredential", "apiVersion": "{V1}", "status": '
        '{"clientCertificateData": "SECRET"}}',
        f'{{"kind": "ExecCredential", "apiVersion": "{V1}", "status": '
        '{"clientCertificateData": "SECRET", "clientKeyData": "SECRET"}}',
        f'{{"kind": "ExecCredential", "apiVersion": "{V1}", "status": '
        '{"token": "t", "expirationTimestamp": "tomorrow"}}',
        "[" * 100_000,
    ],
)
async def test_output_that_is_no_credential_is_an_error(plugin: Plugin, output: str) -> None:
    (plugin.folder / "output").write_text(output)
    plugin.runs('cat "${0%/*}/output"')
    assert (await plugin.failure()).reason == Reason.EXEC_PLUGIN_FAILED


@pytest.mark.parametrize(
    "endless",
    [
        "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done",
        "exec cat /dev/zero",  # faster than it is read: the pipe is full when the reading ends
        "exec cat /dev/zero >&2",
        "cat /dev/zero >&2 & exec cat /dev/zero",
    ],
)
async def test_endless_output_is_cut(plugin: Plugin, endless: str) -> None:
    plugin.runs(endless)
    async with asyncio.timeout(PATIENCE):
        assert "1 MiB" in (await plugin.failure()).detail


async def fails_in_time(plugin: Plugin) -> None:
    """The plugin does not end in time, and has begun: on a busy machine that takes more than one try."""
    seconds = 0.5
    while not (plugin.folder / "begun").exists():
        with pytest.raises(ConnectionFailed, match=rf"did not end within {seconds:g} s"):
            async with asyncio.timeout(PATIENCE):
                await plugin.credentials(timeout_seconds=seconds).authorization()
        seconds *= 2


async def test_a_child_that_left_the_group_and_holds_the_output_holds_up_nothing(plugin: Plugin) -> None:
    end = plugin.folder / "end"
    os.mkfifo(end)
    plugin.runs('setsid sh -c \': >"${0%/*}/begun"; exec cat "${0%/*}/end"\' "$0" & wait')
    await fails_in_time(plugin)
    os.close(os.open(end, os.O_RDWR))  # those that left wait for it, and end


async def test_plugin_that_hangs_is_ended_with_all_it_started(plugin: Plugin) -> None:
    # The child holds the pipe's other end, so the pipe ends when the child has ended.
    os.mkfifo(plugin.folder / "alive")
    plugin.runs('{ exec >"${0%/*}/alive"; : >"${0%/*}/begun"; exec sleep 600; } & wait')
    alive = os.open(plugin.folder / "alive", os.O_RDONLY | os.O_NONBLOCK)
    try:
        await fails_in_time(plugin)
        os.set_blocking(alive, True)
        assert await asyncio.to_thread(os.read, alive, 1) == b""
    finally:
        os.close(alive)


async def test_cancelled_run_leaves_no_process_however_far_it_came(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "alive")
    alive = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    command = ["sh", "-c", '{ exec sleep 600; } >"$0" 2>&1 & wait', str(tmp_path / "alive")]
    try:
        for turns in range(16):
            running = asyncio.create_task(run_program(command, os.environ, timeout_seconds=PATIENCE))
            for _ in range(turns):
                await asyncio.sleep(0)
            time.sleep(0.05)  # noqa: ASYNC251 - the program goes on, but not the event loop
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        async with asyncio.timeout(PATIENCE):
            while _is_held(alive):
                await asyncio.sleep(0.01)
    finally:
        os.close(alive)


async def test_program_that_cannot_be_started_leaves_no_pipe(tmp_path: Path) -> None:
    (tmp_path / "text").touch()
    await run_program(["true"], os.environ, timeout_seconds=PATIENCE)  # opens what the event loop keeps
    before = _open_descriptors()
    for command in (["/no/such/program"], [str(tmp_path / "text")], ["a\0b"]):
        with pytest.raises((OSError, ValueError)):
            await run_program(command, os.environ, timeout_seconds=PATIENCE)
    assert _open_descriptors() == before


def _open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _is_held(pipe: int) -> bool:
    """Whether a process holds the other end of a pipe that nobody writes to."""
    try:
        return os.read(pipe, 1) != b""
    except BlockingIOError:
        return True


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"command": ""}, "no command"),
        ({"apiVersion": "client.authentication.k8s.io/v1alpha1"}, "apiVersion"),
        ({"apiVersion": ""}, "apiVersion"),
        ({"interactiveMode": "Always"}, "terminal"),
        ({"interactiveMode": ""}, "interactiveMode"),
        ({"interactiveMode": "Sometimes"}, "interactiveMode"),
        ({"env": [{"name": "", "value": "x"}]}, "environment variable"),
        ({"env": [{"name": "A=B", "value": "x"}]}, "environment variable"),
    ],
)
async def test_malformed_plugin_entry_is_an_error(plugin: Plugin, fields: dict[str, Any], hint: str) -> None:
    plugin.prints(token="t")
    plugin.fields |= fields
    assert hint in (await plugin.failure()).detail
    assert plugin.count == 0


async def test_static_token_wins_over_a_plugin(plugin: Plugin) -> None:
    plugin.prints(token="from-plugin")
    plugin.user_fields["token"] = "static"
    connection = await plugin.connect()
    assert await connection.credentials.authorization() == "Bearer static"
