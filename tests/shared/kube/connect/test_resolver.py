"""Which source of a connection is used, and what is said when there is none."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from shared.errors import ConnectionFailed
from shared.kube.api.connection import Connection
from shared.kube.connect.access.authorization import TokenFile
from shared.kube.connect.incluster import from_service_account
from shared.kube.connect.resolver import resolve
from shared.reasons import Reason
from shared.settings.cluster import ClusterSettings
from tests.support.api_server import ApiServer
from tests.support.tls import Authority

AUTHORITY = Authority("cluster authority")


def kubeconfig(server: str) -> str:
    return json.dumps(
        {
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "contexts": [{"name": "x", "context": {"cluster": "c"}}],
            "current-context": "x",
        }
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(kubeconfig("https://home"))
    return tmp_path


async def test_sources_are_used_in_order(home: Path) -> None:
    (home / "file").write_text(kubeconfig("https://file"))
    encoded = base64.b64encode(kubeconfig("https://base64").encode()).decode()
    everything = ClusterSettings(kubeconfig_base64=encoded, kubeconfig=str(home / "file"), home=str(home))
    without_base64 = ClusterSettings(kubeconfig=str(home / "file"), home=str(home))
    only_home = ClusterSettings(home=str(home))
    found = [await resolve(settings) for settings in (everything, without_base64, only_home)]
    assert [(connection.method, connection.server) for connection in found] == [
        ("kubeconfig-base64", "https://base64"),
        ("kubeconfig", "https://file"),
        ("home-kubeconfig", "https://home"),
    ]


async def test_pod_without_a_token_goes_on_to_the_home_kubeconfig(home: Path) -> None:
    settings = ClusterSettings(kubernetes_service_host="10.0.0.1", home=str(home))
    assert (await resolve(settings)).method == "home-kubeconfig"


async def test_no_source_names_each_and_why(tmp_path: Path) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        await resolve(ClusterSettings(kubernetes_service_host="10.0.0.1", home=str(tmp_path)))
    error = caught.value
    assert error.fields["sources"] == [
        "GKE: GKE_CLUSTER_NAME and GKE_CLUSTER_LOCATION are not set",
        "KUBECONFIG_BASE64: not set",
        "KUBECONFIG: not set",
        "in-cluster: KUBERNETES_SERVICE_HOST is set, but no service account token is mounted",
        "~/.kube/config: no such file",
    ]
    assert all(source in error.detail for source in error.fields["sources"])
    assert "localhost" not in error.detail


async def test_broken_home_kubeconfig_is_told_as_such(home: Path) -> None:
    (home / ".kube" / "config").write_text("[]")
    with pytest.raises(ConnectionFailed) as caught:
        await resolve(ClusterSettings(home=str(home)))
    assert caught.value.reason == Reason.KUBECONFIG_INVALID


@pytest.fixture
def service_account(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("pod-token\n")
    (tmp_path / "ca.crt").write_bytes(AUTHORITY.certificate)
    return tmp_path


async def test_pod_reaches_its_cluster_with_its_service_account(service_account: Path) -> None:
    async with ApiServer(AUTHORITY.issue("127.0.0.1"), accepted={"Bearer pod-token"}) as server:
        connection = await from_service_account("127.0.0.1", str(server.port), service_account)
        assert isinstance(connection, Connection)
        assert connection.method == "in-cluster"
        headers = {"Authorization": await connection.credentials.authorization() or ""}
        async with (
            aiohttp.ClientSession() as session,
            session.get(
                f"{connection.server}/version", ssl=connection.ssl_context or True, headers=headers
            ) as answer,
        ):
            assert answer.status == 200


async def test_pod_reads_its_token_again_when_it_is_refused(service_account: Path) -> None:
    connection = await from_service_account("10.0.0.1", "443", service_account)
    assert isinstance(connection, Connection)
    await connection.credentials.authorization()
    (service_account / "token").write_text("rotated")
    assert await connection.credentials.authorization() == "Bearer pod-token"
    assert await connection.credentials.authorization(refresh=True) == "Bearer rotated"


async def test_token_file_is_read_again_every_minute_and_missed_by_nobody(tmp_path: Path) -> None:
    file, now = tmp_path / "token", 1000.0
    file.write_text("first")
    token = TokenFile(file, where="the token", now=lambda: now)
    await token.authorization()
    file.write_text("second")
    now += 59
    assert await token.authorization() == "Bearer first"
    now += 1
    assert await token.authorization() == "Bearer second"
    file.unlink()
    now += 60
    assert await token.authorization() == "Bearer second"
    with pytest.raises(ConnectionFailed, match="the token cannot be read"):
        await token.authorization(refresh=True)


async def test_ipv6_service_host_is_bracketed(service_account: Path) -> None:
    connection = await from_service_account("fd00::1", "443", service_account)
    assert isinstance(connection, Connection)
    assert connection.server == "https://[fd00::1]:443"


@pytest.mark.parametrize("comment", ["# Főtanúsítvány\r\n".encode(), b"# F\xf5tan\n", b"\0\xff\n"])
async def test_pod_reads_the_cas_of_its_bundle_whatever_is_between_them(
    service_account: Path, comment: bytes
) -> None:
    (service_account / "ca.crt").write_bytes(comment + AUTHORITY.certificate + comment)
    assert isinstance(await from_service_account("10.0.0.1", "443", service_account), Connection)


@pytest.mark.parametrize("content", [None, b"", b"garbage", b"\xff"])
async def test_pod_without_valid_ca_is_not_connected(service_account: Path, content: bytes | None) -> None:
    if content is None:
        (service_account / "ca.crt").unlink()
    else:
        (service_account / "ca.crt").write_bytes(content)
    with pytest.raises(ConnectionFailed) as caught:
        await from_service_account("10.0.0.1", "443", service_account)
    assert caught.value.reason == Reason.IN_CLUSTER_CA_INVALID


@pytest.mark.parametrize(
    ("host", "port"), [("a b", "443"), ("h", "0"), ("h", "x"), ("h", "99999999999"), ("h", "")]
)
async def test_pod_with_malformed_address_is_not_connected(
    service_account: Path, host: str, port: str
) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        await from_service_account(host, port, service_account)
    assert caught.value.reason == Reason.IN_CLUSTER_INVALID


def test_importing_the_resolver_imports_no_source_of_connections() -> None:
    script = "import sys, shared.kube.connect.connector; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    heavy = (
        "google.auth",
        "google.cloud.container",
        "google.api_core",
        "grpc",
        "yaml",
        "requests",
        "aiohttp",
    )
    assert not [name for name in output.split() if name.startswith(heavy)]
