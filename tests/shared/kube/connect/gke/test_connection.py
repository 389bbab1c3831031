"""A GKE cluster is found, verified and talked to without kubeconfig and gcloud.

The parts are real: google-auth against a token endpoint, google-cloud-container against
a gRPC server with Google's own types, aiohttp against TLS servers with their own CA.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from google.cloud.container_v1.types import Cluster

from shared.errors import ConnectionFailed
from shared.kube.api.client import KubeApi
from shared.kube.connect.connector import ClusterConnector
from shared.kube.connect.gke.cluster import ClusterId
from shared.kube.connect.gke.google_tokens import GoogleCredentials
from shared.kube.connect.gke.lookup import get_cluster
from shared.kube.connect.resolver import resolve
from shared.reasons import Reason
from shared.settings.cluster import ClusterSettings
from tests.support.api_server import ApiServer
from tests.support.gke_server import PATH, GkeServer, cluster, dns_cluster, public_cluster
from tests.support.metadata_server import MetadataServer
from tests.support.tls import Authority

AUTHORITY = Authority("cluster authority")


@dataclasses.dataclass
class Google:
    """Google's side of a test."""

    gke: GkeServer
    tokens: MetadataServer

    @property
    def settings(self) -> ClusterSettings:
        return self.settings_with()

    def settings_with(self, **changes: str) -> ClusterSettings:
        usual: dict[str, Any] = {
            "gke_cluster_name": "sessions",
            "gke_cluster_location": "europe-west1",
            "gke_api_endpoint": self.gke.endpoint,
        }
        return ClusterSettings(**{**usual, **changes})


@pytest.fixture
async def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Google]:
    for variable in ("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "GOOGLE_CLOUD_QUOTA_PROJECT"):
        monkeypatch.delenv(variable, raising=False)
    async with GkeServer() as gke, MetadataServer() as tokens:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", tokens.write_key_file(tmp_path / "key.json"))
        yield Google(gke, tokens)


async def test_cluster_is_reached_at_its_address_with_its_own_authority(google: Google) -> None:
    async with ApiServer(AUTHORITY.issue("127.0.0.1"), accepted={"Bearer token-1"}) as server:
        google.gke.clusters[PATH] = public_cluster(server.address, AUTHORITY.certificate)
        api = KubeApi(ClusterConnector(google.settings))
        try:
            assert (await api.request("GET", "/version"))["gitVersion"] == "v1.36.0"
            connection = await api.connection()
        finally:
            await api.close()
    assert connection.method == "gke"
    assert connection.cluster == PATH
    assert connection.server == f"https://{server.address}"
    assert google.gke.tokens == server.seen == ["Bearer token-1"], "one token serves both"
    assert google.tokens.scopes == [
        {
            "https://www.googleapis.com/auth/cloud-platform",
            "https://www.googleapis.com/auth/userinfo.email",
        }
    ]


async def test_wrong_authority_is_an_error_and_no_bypass(google: Google) -> None:
    async with ApiServer(Authority("somebody else").issue("127.0.0.1")) as server:
        google.gke.clusters[PATH] = public_cluster(server.address, AUTHORITY.certificate)
        connection = await resolve(google.settings)
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(connection.server, ssl=connection.ssl_context or True)
        assert connection.ssl_context is not None
    assert server.seen == []


@pytest.mark.parametrize("authority", [b"", b"not base64 ?", b"bm90IGEgY2VydGlmaWNhdGU="])
async def test_address_without_valid_authority_is_refused(google: Google, authority: bytes) -> None:
    google.gke.clusters[PATH] = cluster(
        endpoint="203.0.113.7", master_auth={"cluster_ca_certificate": authority.decode()}
    )
    error = await failure(google.settings)
    assert error.reason == Reason.GKE_CLUSTER_CA_MISSING


async def test_a_comment_in_the_cluster_s_authority_is_passed_over(google: Google) -> None:
    commented = "# Főtanúsítvány\r\n".encode() + AUTHORITY.certificate
    google.gke.clusters[PATH] = public_cluster("203.0.113.7", commented)
    connection = await resolve(google.settings)
    assert connection.ssl_context is not None
    assert len(connection.ssl_context.get_ca_certs()) == 1


async def test_dns_endpoint_trusts_public_authorities_and_not_the_cluster_s(google: Google) -> None:
    google.gke.clusters[PATH] = dns_cluster(
        "gke-1.europe-west1.gke.goog",
        endpoint="203.0.113.7",
        master_auth={"cluster_ca_certificate": "bm90IGEgY2VydGlmaWNhdGU="},
    )
    connection = await resolve(google.settings)
    assert connection.server == "https://gke-1.europe-west1.gke.goog"
    assert connection.ssl_context is not None
    assert connection.ssl_context.verify_mode is ssl.CERT_REQUIRED
    assert connection.ssl_context.check_hostname
    assert connection.ssl_context.get_ca_certs() == ssl.create_default_context().get_ca_certs()


async def test_refused_token_is_replaced_once_for_all_requests(google: Google) -> None:
    async with ApiServer(AUTHORITY.issue("127.0.0.1"), accepted={"Bearer token-2"}) as server:
        google.gke.clusters[PATH] = public_cluster(server.address, AUTHORITY.certificate)
        api = KubeApi(ClusterConnector(google.settings))
        try:
            await asyncio.gather(*(api.request("GET", "/version") for _ in range(20)))
        finally:
            await api.close()
    assert google.tokens.tokens == ["token-1", "token-2"]
    assert server.seen.count("Bearer token-2") == 20


async def test_expired_token_is_replaced_before_it_is_shown(google: Google) -> None:
    google.tokens.expires_in = 0
    async with ApiServer(AUTHORITY.issue("127.0.0.1")) as server:
        google.gke.clusters[PATH] = public_cluster(server.address, AUTHORITY.certificate)
        api = KubeApi(ClusterConnector(google.settings))
        try:
            await api.request("GET", "/version")
            google.tokens.expires_in = 3600
            await api.request("GET", "/version")
            await api.request("GET", "/version")
        finally:
            await api.close()
    assert google.gke.tokens == ["Bearer token-1"]
    assert server.seen == ["Bearer token-2", "Bearer token-3", "Bearer token-3"]


async def test_cluster_that_moved_is_looked_up_again_after_a_failure(google: Google) -> None:
    async with ApiServer(AUTHORITY.issue("127.0.0.1"), name="new") as server:
        async with ApiServer(AUTHORITY.issue("127.0.0.1"), name="old") as old:
            google.gke.clusters[PATH] = public_cluster(old.address, AUTHORITY.certificate)
            api = KubeApi(ClusterConnector(google.settings))
            assert (await api.request("GET", "/version"))["gitVersion"] == "old"
        google.gke.clusters[PATH] = public_cluster(server.address, AUTHORITY.certificate)
        try:
            assert (await api.request("GET", "/version"))["gitVersion"] == "new"
        finally:
            await api.close()
    assert len(google.gke.tokens) == 2


@pytest.mark.parametrize(
    ("code", "info", "reason", "hint"),
    [
        (grpc.StatusCode.NOT_FOUND, "", "GKE_CLUSTER_NOT_FOUND", "GKE_CLUSTER_LOCATION"),
        (grpc.StatusCode.PERMISSION_DENIED, "", "GKE_CLUSTER_FORBIDDEN", "roles/container.clusterViewer"),
        (grpc.StatusCode.PERMISSION_DENIED, "SERVICE_DISABLED", "GKE_API_DISABLED", "gcloud services enable"),
        (
            grpc.StatusCode.PERMISSION_DENIED,
            "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
            "GKE_SCOPE_INSUFFICIENT",
            "cloud-platform",
        ),
        (grpc.StatusCode.INVALID_ARGUMENT, "", "GKE_CLUSTER_INVALID", "GKE_CLUSTER_NAME"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "", "GKE_API_QUOTA", "quota"),
        (grpc.StatusCode.INTERNAL, "", "GKE_LOOKUP_FAILED", "error"),
    ],
)
async def test_refused_look_up_says_which_cluster_and_what_to_do(
    google: Google, code: grpc.StatusCode, info: str, reason: str, hint: str
) -> None:
    google.gke.errors = [(code, info)]
    error = await failure(google.settings)
    assert error.reason == reason
    assert hint in error.detail
    assert_names_the_cluster(error)
    assert len(google.gke.tokens) == 1, "what a repetition cannot change is not repeated"


async def test_look_up_is_repeated_while_the_api_is_unavailable(google: Google) -> None:
    google.gke.errors = [(grpc.StatusCode.UNAVAILABLE, ""), (grpc.StatusCode.DEADLINE_EXCEEDED, "")]
    google.gke.clusters[PATH] = public_cluster("203.0.113.7", AUTHORITY.certificate)
    assert (await resolve(google.settings)).server == "https://203.0.113.7"
    assert len(google.gke.tokens) == 3


async def test_look_up_with_a_refused_token_is_repeated_with_a_new_one(google: Google) -> None:
    google.gke.refused_tokens = {"Bearer token-1"}
    google.gke.clusters[PATH] = public_cluster("203.0.113.7", AUTHORITY.certificate)
    await resolve(google.settings)
    assert google.gke.tokens == ["Bearer token-1", "Bearer token-2"]


async def test_credentials_that_the_api_refuses_are_an_error(google: Google) -> None:
    google.gke.refused_tokens = {"Bearer token-1", "Bearer token-2"}
    error = await failure(google.settings)
    assert error.reason == Reason.GKE_CREDENTIALS_REFUSED
    assert_names_the_cluster(error)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (Cluster.Status.PROVISIONING, "GKE_CLUSTER_PROVISIONING"),
        (Cluster.Status.STOPPING, "GKE_CLUSTER_STOPPED"),
        (Cluster.Status.ERROR, "GKE_CLUSTER_ERROR"),
    ],
)
async def test_cluster_that_does_not_run_is_an_error(
    google: Google, status: Cluster.Status, reason: str
) -> None:
    google.gke.clusters[PATH] = cluster(
        endpoint="203.0.113.7", status=status, status_message="node 10.1.2.3 is gone"
    )
    error = await failure(google.settings)
    assert error.reason == reason
    assert "10.1.2.3" not in error.detail
    assert_names_the_cluster(error)


@pytest.mark.parametrize(
    "status", [Cluster.Status.RUNNING, Cluster.Status.RECONCILING, Cluster.Status.DEGRADED]
)
async def test_cluster_at_work_on_itself_is_used(google: Google, status: Cluster.Status) -> None:
    google.gke.clusters[PATH] = dns_cluster("gke-1.gke.goog", status=status)
    assert (await resolve(google.settings)).server == "https://gke-1.gke.goog"


async def test_api_that_is_not_there_is_an_error_that_passes(google: Google) -> None:
    async with GkeServer() as gone:
        endpoint = gone.endpoint
    credentials = await GoogleCredentials.default()
    identity = ClusterId("test-project", "europe-west1", "sessions")
    with pytest.raises(ConnectionFailed) as caught:
        await get_cluster(identity, credentials, endpoint=endpoint, timeout_seconds=0.5)
    error = caught.value
    assert error.reason in (Reason.GKE_API_UNAVAILABLE, "GKE_API_TIMEOUT")
    assert error.retry_after_seconds
    assert_names_the_cluster(error)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://gke.example:80",
        "http://10.0.0.1:80",
        "ftp://localhost:1",
        "host:port",
        "https://u@h:1",
        "a/b:1",
    ],
)
async def test_api_endpoint_in_the_clear_is_for_this_machine_only(google: Google, endpoint: str) -> None:
    error = await failure(google.settings_with(gke_api_endpoint=endpoint))
    assert error.reason == Reason.GKE_API_ENDPOINT_INVALID
    assert google.gke.tokens == []


async def test_project_setting_wins_over_the_credentials_own(google: Google) -> None:
    error = await failure(google.settings_with(google_cloud_project="other-project"))
    assert error.reason == Reason.GKE_CLUSTER_NOT_FOUND
    assert error.fields["project"] == "other-project"


@pytest.mark.parametrize("name", ["a/b", "..", "a b", "ä"])
async def test_name_that_is_none_is_not_looked_up(google: Google, name: str) -> None:
    error = await failure(google.settings_with(gke_cluster_name=name))
    assert error.reason == Reason.GKE_CLUSTER_INVALID
    assert google.gke.tokens == []


async def test_broken_gke_source_does_not_fall_through_to_a_kubeconfig(
    google: Google, tmp_path: Path
) -> None:
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text("current-context: other\n")
    settings = google.settings_with(home=str(tmp_path), kubeconfig=str(tmp_path / "missing"))
    assert (await failure(settings)).reason == Reason.GKE_CLUSTER_NOT_FOUND


async def failure(settings: ClusterSettings) -> ConnectionFailed:
    with pytest.raises(ConnectionFailed) as caught:
        await resolve(settings)
    assert "localhost" not in caught.value.detail
    assert caught.value.__cause__ is not None or caught.value.__context__ is None
    return caught.value


def assert_names_the_cluster(error: ConnectionFailed) -> None:
    named = {"project": "test-project", "location": "europe-west1", "cluster": "sessions"}
    assert {key: error.fields[key] for key in named} == named
    assert all(value in error.detail for value in named.values())
    assert "10.1.2.3" not in error.detail
