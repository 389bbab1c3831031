"""Which endpoint of a cluster is used: what the API tells, and what the operator wants."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import ConnectionFailed
from shared.kube.connect.gke.cluster import ClusterId
from shared.kube.connect.gke.endpoint import choose_endpoint
from shared.reasons import Reason
from shared.settings.cluster import GkeEndpoint
from tests.support.gke_server import cluster

IDENTITY = ClusterId("test-project", "europe-west1", "sessions")
DNS, PUBLIC, PRIVATE = "gke-1a2b.europe-west1.gke.goog", "203.0.113.7", "10.0.0.2"


def endpoints(
    *, dns: bool | None = None, addresses: bool | None = None, public: bool | None = None
) -> dict[str, Any]:
    """``control_plane_endpoints_config``; None leaves a switch out of the answer."""
    ip: dict[str, Any] = {"public_endpoint": PUBLIC, "private_endpoint": PRIVATE}
    if addresses is not None:
        ip["enabled"] = addresses
    if public is not None:
        ip["enable_public_endpoint"] = public
    name: dict[str, Any] = {"endpoint": DNS}
    if dns is not None:
        name["allow_external_traffic"] = dns
    return {"control_plane_endpoints_config": {"dns_endpoint_config": name, "ip_endpoints_config": ip}}


LEGACY_PUBLIC = {
    "endpoint": PUBLIC,
    "private_cluster_config": {"public_endpoint": PUBLIC, "private_endpoint": PRIVATE},
}
LEGACY_PRIVATE = {
    "endpoint": PRIVATE,
    "private_cluster_config": {"enable_private_endpoint": True, "private_endpoint": PRIVATE},
}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (endpoints(dns=True, addresses=True, public=True), {"auto": DNS, "dns": DNS, "public": PUBLIC}),
        (endpoints(dns=False, addresses=True, public=True), {"auto": PUBLIC, "dns": None}),
        (endpoints(addresses=True, public=True), {"auto": PUBLIC, "dns": None, "private": PRIVATE}),
        (endpoints(addresses=True, public=False), {"auto": PRIVATE, "public": None, "private": PRIVATE}),
        (endpoints(addresses=False), {"auto": None, "public": None, "private": None}),
        (endpoints(dns=True, addresses=False), {"auto": DNS, "public": None, "private": None}),
        (endpoints(), {"auto": PUBLIC, "private": PRIVATE}),
        ({**endpoints(dns=True, addresses=False), "endpoint": DNS}, {"auto": DNS, "public": None}),
        ({**endpoints(dns=False, addresses=False), "endpoint": DNS}, {"auto": None, "dns": None}),
        (LEGACY_PUBLIC, {"auto": PUBLIC, "public": PUBLIC, "private": PRIVATE, "dns": None}),
        (LEGACY_PRIVATE, {"auto": PRIVATE, "public": None, "private": PRIVATE}),
        ({"endpoint": PUBLIC}, {"auto": PUBLIC, "public": PUBLIC, "private": None}),
        ({"endpoint": DNS}, {"auto": DNS, "dns": DNS, "public": None, "private": None}),
        ({"endpoint": "2001:db8::7"}, {"auto": "[2001:db8::7]"}),
        ({}, {"auto": None, "dns": None, "public": None, "private": None}),
    ],
)
def test_endpoint_is_the_wanted_one_if_the_cluster_has_it_open(
    fields: dict[str, Any], expected: dict[GkeEndpoint, str | None]
) -> None:
    described = cluster(**fields)
    for wanted, address in expected.items():
        if address is not None:
            endpoint = choose_endpoint(described, wanted, IDENTITY)
            assert endpoint.url == f"https://{address}"
            assert endpoint.public_certificate is (address == DNS)
        else:
            with pytest.raises(ConnectionFailed) as caught:
                choose_endpoint(described, wanted, IDENTITY)
            assert caught.value.reason == Reason.GKE_ENDPOINT_UNAVAILABLE
            assert caught.value.fields["cluster"] == "sessions"


@pytest.mark.parametrize("address", ["a b", "x/y", "user@host", "host?q", "host#f", "[::1", "-", "ä"])
def test_endpoint_that_is_no_host_is_refused(address: str) -> None:
    with pytest.raises(ConnectionFailed, match="no host"):
        choose_endpoint(cluster(endpoint=address), "auto", IDENTITY)
