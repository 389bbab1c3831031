"""The whole way from a fresh process to the cluster, in the surroundings of Cloud Run.

No kubeconfig, no gcloud, no file with credentials: only the metadata server, Google's API
and the cluster, each a real server on loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from shared.reasons import Reason
from tests.support.api_server import ApiServer
from tests.support.gke_server import PATH, GkeServer, dns_cluster, public_cluster
from tests.support.metadata_server import MetadataServer
from tests.support.tls import Authority

ROOT = Path(__file__).parents[5]
CLUSTER_AUTHORITY = Authority("cluster authority")
PUBLIC_AUTHORITY = Authority("public authority")


class Instance:
    """A running process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, line: str = "get 10") -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line.encode() + b"\n")
        return json.loads(await self._process.stdout.readline())


@contextlib.asynccontextmanager
async def cloud_run(home: Path, environment: Mapping[str, str]) -> AsyncIterator[Instance]:
    """A process with nothing but the given environment and what Cloud Run sets."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        "-m",
        "tests.support.cloud_run_process",
        cwd=ROOT,
        env={
            "HOME": str(home),
            "PATH": str(home),
            "K_SERVICE": "sessions",
            "K_REVISION": "sessions-00001",
            "PORT": "8080",
            "AUTH_AUDIENCE": "https://sessions.example",
            **environment,
        },
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=4 * 1024 * 1024,
    )
    try:
        yield Instance(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        status = await process.wait()
    assert status == 0


def settings_for(gke: GkeServer, tokens: MetadataServer) -> dict[str, str]:
    return {
        "GKE_CLUSTER_NAME": "sessions",
        "GKE_CLUSTER_LOCATION": "europe-west1",
        "GKE_API_ENDPOINT": gke.endpoint,
        **tokens.environment,
    }


async def test_cluster_is_reached_with_the_service_account_s_token(tmp_path: Path) -> None:
    async with (
        GkeServer() as gke,
        MetadataServer() as tokens,
        ApiServer(CLUSTER_AUTHORITY.issue("127.0.0.1"), accepted={"Bearer token-1"}) as server,
    ):
        gke.clusters[PATH] = public_cluster(server.address, CLUSTER_AUTHORITY.certificate)
        async with cloud_run(tmp_path, settings_for(gke, tokens)) as instance:
            answer = await instance.ask()
    assert answer == {
        "method": "gke",
        "server": f"https://{server.address}",
        "gitVersion": "v1.36.0",
        "path": "/version",
    }
    assert tokens.scopes == [
        {
            "https://www.googleapis.com/auth/cloud-platform",
            "https://www.googleapis.com/auth/userinfo.email",
        }
    ]


async def test_token_is_renewed_when_it_expires_and_when_it_is_refused(tmp_path: Path) -> None:
    async with (
        GkeServer() as gke,
        MetadataServer(expires_in=0) as tokens,
        ApiServer(CLUSTER_AUTHORITY.issue("127.0.0.1")) as server,
    ):
        gke.clusters[PATH] = public_cluster(server.address, CLUSTER_AUTHORITY.certificate)
        async with cloud_run(tmp_path, settings_for(gke, tokens)) as instance:
            await instance.ask()
            tokens.expires_in = 3600
            await instance.ask()
            assert server.seen == ["Bearer token-2", "Bearer token-3"]
            await instance.ask()
            assert server.seen[-1] == "Bearer token-3"
    async with (
        GkeServer() as gke,
        MetadataServer() as tokens,
        ApiServer(CLUSTER_AUTHORITY.issue("127.0.0.1"), accepted={"Bearer token-2"}) as server,
    ):
        gke.clusters[PATH] = public_cluster(server.address, CLUSTER_AUTHORITY.certificate)
        async with cloud_run(tmp_path, settings_for(gke, tokens)) as instance:
            assert (await instance.ask())["gitVersion"] == "v1.36.0"
    assert server.seen == ["Bearer token-1", "Bearer token-2"]


async def test_dns_endpoint_is_verified_by_public_authorities_only(tmp_path: Path) -> None:
    trust = tmp_path / "public.pem"
    trust.write_bytes(PUBLIC_AUTHORITY.certificate)
    async with GkeServer() as gke, MetadataServer() as tokens:
        environment = {**settings_for(gke, tokens), "SSL_CERT_FILE": str(trust)}
        for authority, verified in ((PUBLIC_AUTHORITY, True), (CLUSTER_AUTHORITY, False)):
            async with ApiServer(authority.issue("localhost")) as server:
                gke.clusters[PATH] = dns_cluster(
                    f"localhost:{server.port}",
                    master_auth=public_cluster("", CLUSTER_AUTHORITY.certificate).master_auth,
                )
                async with cloud_run(tmp_path, environment) as instance:
                    answer = await instance.ask("get 10" if verified else "get 0.5")
            assert (answer.get("gitVersion") == "v1.36.0") is verified, answer
            assert bool(server.seen) is verified


async def test_address_is_verified_by_the_cluster_s_authority_only(tmp_path: Path) -> None:
    trust = tmp_path / "public.pem"
    trust.write_bytes(PUBLIC_AUTHORITY.certificate)
    async with (
        GkeServer() as gke,
        MetadataServer() as tokens,
        ApiServer(PUBLIC_AUTHORITY.issue("127.0.0.1")) as server,
    ):
        gke.clusters[PATH] = public_cluster(server.address, CLUSTER_AUTHORITY.certificate)
        environment = {**settings_for(gke, tokens), "SSL_CERT_FILE": str(trust)}
        async with cloud_run(tmp_path, environment) as instance:
            answer = await instance.ask("get 0.5")
    assert "gitVersion" not in answer
    assert server.seen == []


async def test_nothing_configured_names_every_source_and_assumes_none(tmp_path: Path) -> None:
    async with cloud_run(tmp_path, {}) as instance:
        answer = await instance.ask()
        modules = await instance.ask("modules")
    assert answer["reason"] == Reason.CLUSTER_CONNECTION_FAILED
    for source in ("GKE", "KUBECONFIG_BASE64", "KUBECONFIG", "in-cluster", "~/.kube/config"):
        assert any(entry.startswith(f"{source}:") for entry in answer["sources"]), source
        assert source in answer["detail"]
    assert "localhost" not in json.dumps(answer)
    assert "8080" not in json.dumps(answer)
    assert not [name for name in modules if name.startswith(("google.cloud.", "google.auth", "grpc", "yaml"))]


async def test_missing_metadata_server_is_told_as_missing_credentials(tmp_path: Path) -> None:
    async with GkeServer() as gke, MetadataServer() as gone:
        pass
    environment = {**settings_for(gke, gone), "GCE_METADATA_DETECT_RETRIES": "1"}
    async with cloud_run(tmp_path, environment) as instance:
        answer = await instance.ask()
    assert answer["reason"] == Reason.GOOGLE_CREDENTIALS_MISSING
    assert "service account" in answer["detail"]
