"""What a kubeconfig describes is connected to, over real TLS, just as kubectl does it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from shared.kube.api.client import KubeApi
from shared.kube.api.connection import Connection
from shared.kube.connect.connector import ClusterConnector
from shared.kube.connect.resolver import resolve
from shared.settings.cluster import ClusterSettings
from tests.support.api_server import ApiServer
from tests.support.kubeconfigs import base64_text, document, trusted, write
from tests.support.kubectl import kubectl, needs_kubectl
from tests.support.proxy import Proxy
from tests.support.tls import Authority
from tests.support.web_server import WebServer

AUTHORITY = Authority("cluster authority")
CLIENTS = Authority("client authority")
CLIENT = CLIENTS.issue_client("alice")
PAIR = AUTHORITY.issue("127.0.0.1", "cluster.example")


async def get(kubeconfig: str) -> dict[str, Any]:
    api = KubeApi(ClusterConnector(ClusterSettings(kubeconfig=kubeconfig)))
    try:
        return await api.request("GET", "/version", timeout_seconds=5)
    finally:
        await api.close()


def files(folder: Path) -> None:
    """What relative paths in the kubeconfig point to."""
    (folder / "pki").mkdir()
    (folder / "pki" / "ca.crt").write_bytes(AUTHORITY.certificate)
    (folder / "pki" / "client.crt").write_bytes(CLIENT.certificate)
    (folder / "pki" / "client.key").write_bytes(CLIENT.key)
    (folder / "token").write_text("from-file\n")


USERS: dict[str, Callable[[], dict[str, Any]]] = {
    "token": lambda: {"token": "abc"},
    "token file": lambda: {"tokenFile": "token"},
    "token file before token": lambda: {"tokenFile": "token", "token": "abc"},
    "basic": lambda: {"username": "bob", "password": "pässword"},
    "certificate files": lambda: {"client-certificate": "pki/client.crt", "client-key": "pki/client.key"},
    "certificate data": lambda: {
        "client-certificate-data": base64_text(CLIENT.certificate),
        "client-key-data": base64_text(CLIENT.key),
    },
    "certificate and token": lambda: {
        "client-certificate": "pki/client.crt",
        "client-key": "pki/client.key",
        "token": "abc",
    },
}


@needs_kubectl
@pytest.mark.parametrize("user", USERS)
async def test_user_authenticates_as_with_kubectl(tmp_path: Path, user: str) -> None:
    files(tmp_path)
    demands = CLIENTS if "certificate" in user else None
    async with ApiServer(PAIR, client_authority=demands) as server:
        cluster = {"server": f"https://{server.address}/", "certificate-authority": "pki/ca.crt"}
        path = write(tmp_path, document(cluster, USERS[user]()))
        status, output, errors = await kubectl(path, "get", "--raw", "/version")
        assert status == 0, errors
        by_kubectl = set(server.seen), set(server.peers)
        server.seen.clear()
        server.peers.clear()
        assert await get(path) == json.loads(output)
    assert (set(server.seen), set(server.peers)) == by_kubectl
    assert server.seen != [""] or server.peers == ["alice"]


async def test_context_without_user_or_with_an_empty_one_is_anonymous(tmp_path: Path) -> None:
    async with ApiServer(PAIR) as server:
        await get(write(tmp_path, document(trusted(server.address, AUTHORITY))))
        nobody = {
            **document(trusted(server.address, AUTHORITY)),
            "contexts": [{"name": "x", "context": {"cluster": "c"}}],
        }
        await get(write(tmp_path, nobody))
    assert server.seen == ["", ""]


@pytest.mark.parametrize(
    ("fields", "reached"),
    [
        ({"certificate-authority-data": base64_text(AUTHORITY.certificate)}, True),
        ({"certificate-authority-data": base64_text(CLIENTS.certificate + AUTHORITY.certificate)}, True),
        ({"certificate-authority-data": base64_text(CLIENTS.certificate)}, False),
        ({}, False),
        ({"insecure-skip-tls-verify": True}, True),
        (
            {
                "certificate-authority-data": base64_text(AUTHORITY.certificate),
                "tls-server-name": "cluster.example",
            },
            True,
        ),
        (
            {
                "certificate-authority-data": base64_text(AUTHORITY.certificate),
                "tls-server-name": "other.example",
            },
            False,
        ),
    ],
)
async def test_certificate_is_verified_as_the_cluster_entry_says(
    tmp_path: Path, fields: dict[str, Any], reached: bool
) -> None:
    async with ApiServer(PAIR) as server:
        path = write(tmp_path, document({"server": f"https://{server.address}", **fields}))
        connection = await resolve(ClusterSettings(kubeconfig=path))
        assert await answers(connection) is reached
    assert bool(server.seen) is reached


async def test_intermediate_authority_may_be_the_anchor(tmp_path: Path) -> None:
    """As in Go: what the file names is trusted, whoever signed it."""
    async with ApiServer(PAIR) as server:
        cluster = {
            "server": f"https://{server.address}",
            "certificate-authority-data": base64_text(PAIR.certificate),
        }
        connection = await resolve(ClusterSettings(kubeconfig=write(tmp_path, document(cluster))))
        assert await answers(connection)


async def test_skipped_verification_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cluster = {"server": "https://h", "insecure-skip-tls-verify": True}
    await resolve(ClusterSettings(kubeconfig=write(tmp_path, document(cluster))))
    assert "insecure-skip-tls-verify" in caplog.text


async def test_proxy_is_used_with_its_credentials_and_they_are_not_shown(tmp_path: Path) -> None:
    async with ApiServer(PAIR) as server, Proxy() as proxy:
        cluster = {
            **trusted(server.address, AUTHORITY),
            "proxy-url": f"http://u:SECRET@127.0.0.1:{proxy.port}",
        }
        path = write(tmp_path, document(cluster))
        assert (await get(path))["gitVersion"]
    assert proxy.targets == [server.address]
    assert proxy.authorizations == ["Basic " + base64_text(b"u:SECRET")]


async def test_plain_http_is_used_where_the_file_says_so(tmp_path: Path) -> None:
    class PlainServer(WebServer):
        pass

    async with PlainServer() as server:
        path = write(tmp_path, document({"server": f"http://{server.address}"}))
        connection = await resolve(ClusterSettings(kubeconfig=path))
    assert connection.ssl_context is None
    assert connection.server == f"http://{server.address}"


async def test_token_file_is_read_again_when_the_token_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old")
    async with ApiServer(PAIR, accepted={"Bearer old"}) as server:
        path = write(tmp_path, document(trusted(server.address, AUTHORITY), {"tokenFile": "token"}))
        api = KubeApi(ClusterConnector(ClusterSettings(kubeconfig=path)))
        try:
            await api.request("GET", "/version")
            server.accepted = {"Bearer new"}
            (tmp_path / "token").write_text("new")
            await api.request("GET", "/version")
        finally:
            await api.close()
    assert server.seen == ["Bearer old", "Bearer old", "Bearer new"]


async def test_files_joined_in_kubeconfig_complete_each_other(tmp_path: Path) -> None:
    """Relative paths are relative to the file that holds them, and absent files are left out."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "ca.crt").write_bytes(AUTHORITY.certificate)
    (tmp_path / "one" / "token").write_text("right")
    async with ApiServer(PAIR) as server:
        first = {
            "users": [{"name": "u", "user": {"tokenFile": "token"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        }
        second = document(
            {"server": f"https://{server.address}", "certificate-authority": "ca.crt"}, {"token": "wrong"}
        )
        paths = [
            write(tmp_path / "one", first),
            str(tmp_path / "absent"),
            write(tmp_path / "two", second),
        ]
        await get(os.pathsep.join(paths))
    assert server.seen == ["Bearer right"]


async def test_base64_setting_is_a_kubeconfig(tmp_path: Path) -> None:
    async with ApiServer(PAIR) as server:
        text = base64.encodebytes(
            json.dumps(document(trusted(server.address, AUTHORITY), {"token": "t"})).encode()
        ).decode()
        connection = await resolve(ClusterSettings(kubeconfig_base64=text))
        assert connection.method == "kubeconfig-base64"
        assert await answers(connection)


async def test_key_is_in_no_file_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    user = {
        "client-certificate-data": base64_text(CLIENT.certificate),
        "client-key-data": base64_text(CLIENT.key),
    }
    await resolve(ClusterSettings(kubeconfig=write(tmp_path, document({"server": "https://h"}, user))))
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not [target for target in open_files() if "client-certificate" in target]


async def test_event_loop_goes_on_while_files_are_read(tmp_path: Path) -> None:
    """A pipe nobody writes to holds a reader up: the loop must not be that reader."""
    fifo = tmp_path / "config"
    os.mkfifo(fifo)
    waiting = asyncio.create_task(resolve(ClusterSettings(kubeconfig=str(fifo))))
    await asyncio.sleep(0)  # it starts; were it to read here, this line would never end
    content = json.dumps(document({"server": "https://h"}))
    await asyncio.to_thread(fifo.write_text, content)
    assert (await waiting).server == "https://h"


async def answers(connection: Connection) -> bool:
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(
                connection.server + "/version",
                ssl=connection.ssl_context or True,
                server_hostname=connection.server_hostname,
            ) as response:
                return response.status == 200
        except aiohttp.ClientConnectorError:
            return False


def open_files() -> list[str]:
    """What this process has open."""
    targets = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            targets.append(str(descriptor.readlink()))
    return targets
