"""The main job with the connection that Cloud Run has: Google's API, metadata server, the cluster's CA."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp

from local.cluster import LocalCluster
from tests.support import laptop
from tests.support.client import Client
from tests.support.gke_server import PATH, GkeServer, public_cluster
from tests.support.metadata_server import MetadataServer


async def test_a_session_on_a_cluster_that_was_looked_up(tmp_path: Path) -> None:
    async with (
        LocalCluster(tmp_path / "cluster") as cluster,
        GkeServer() as gke,
        MetadataServer() as metadata,
    ):
        address = cluster.url.removeprefix("https://")
        gke.clusters[PATH] = public_cluster(address, cluster.ca_file.read_bytes())
        metadata.body = json.dumps(
            {"access_token": cluster.token, "expires_in": 3600, "token_type": "Bearer"}
        )
        settings = {
            "GKE_CLUSTER_NAME": "sessions",
            "GKE_CLUSTER_LOCATION": "europe-west1",
            "GKE_API_ENDPOINT": gke.endpoint,
            "HOME": str(tmp_path),
            "SQLITE_PATH": str(tmp_path / "sessions.db"),
            "SESSION_IMAGE": "localhost/busybox:1",
            **metadata.environment,
        }
        # Starting the process must not hold up the servers that this loop runs: it asks none of them.
        with laptop.gateway(tmp_path / "gateway.log", **settings) as (_, url):
            async with aiohttp.ClientSession() as http:
                client = Client(http, url, "ann@example.com")
                session = await client.create()
                result = await client.execute(session, "echo found")
                status = (await client.call("GET", "/v1/status"))[1]
                deleted = await client.delete(session)
    assert result["stdout"] == "found\n"
    assert status["connection"] == {"method": "gke", "cluster": PATH}
    assert session["cluster"] == PATH
    assert deleted["state"] == "deleted"
