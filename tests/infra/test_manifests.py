"""The cluster's objects, as `make manifests` renders them."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from local import manifests
from local.cluster import LocalCluster
from local.cluster.objects.podsecurity import restricted_violations
from local.cluster.objects.quantities import parse_quantity
from local.cluster.objects.shapes import check_shape
from shared.core.sessions.model import Resources, Session, SessionState
from shared.kube.jobs.runtime import JobLimits
from shared.kube.pods.manifest import PodOptions, pod_manifest
from shared.settings.jobs import JobSettings
from shared.settings.owners import OwnerSettings
from shared.settings.pods import PodSettings
from shared.settings.sessions import SessionSettings
from shared.settings.variables import variables
from tests.support.installation import path, resource_of
from tests.support.kubectl import kubectl, needs_kubectl

USER = "functions@demo.iam.gserviceaccount.com"
VALUES = manifests.defaults()
IMAGE = "example.com/gam:1"
PODS, SESSIONS, JOBS, OWNERS = PodSettings(), SessionSettings(), JobSettings(), OwnerSettings()
ALL = {"k8s_service_name": "functions", "k8s_ingress_host": "gam.example.com"}


def rendered(**values: str) -> list[dict[str, Any]]:
    return manifests.objects({**VALUES, **values}, dict.fromkeys(manifests.function_roles(), USER))


def one(kind: str, name: str | None = None, **values: str) -> dict[str, Any]:
    found = [o for o in rendered(**values) if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    assert len(found) == 1
    return found[0]


def default_pod() -> dict[str, Any]:
    """The pod of a session that asks for nothing, on the template."""
    now = datetime(2026, 3, 1, tzinfo=UTC)
    session = Session(
        id="saaaaaaaaaaaaaaaa",
        owner="ann@example.com",
        name="one",
        state=SessionState.PENDING,
        image=IMAGE,
        resources=Resources(SESSIONS.cpu, SESSIONS.memory),
        labels={},
        cluster="c",
        namespace=PODS.namespace,
        pod_name="gam-saaaaaaaaaaaaaaaa",
        created_at=now,
        last_used_at=now,
        expires_at=now + timedelta(hours=8),
        idle_seconds=60,
    )
    jobs = JobLimits(disk_bytes=JOBS.disk_bytes, unfinished=JOBS.max_per_session, follow_seconds=1)
    options = PodOptions.from_settings(PODS, jobs, SESSIONS.max_ttl_seconds)
    return pod_manifest(session, options, one("PodTemplate")["template"])


def test_values_that_functions_know_too_have_the_same_defaults() -> None:
    known = {variable.name.lower(): variable.default for variable in variables()}
    for name, value in VALUES.items():
        if known.get(name):
            assert known[name] == value, name


def test_the_default_session_is_admitted_by_the_limit_range() -> None:
    (limits,) = one("LimitRange")["spec"]["limits"]
    for container in default_pod()["spec"]["containers"]:
        for amounts in container["resources"].values():
            assert set(amounts) == set(limits["max"])
            for key, amount in amounts.items():
                assert parse_quantity(amount) <= parse_quantity(limits["max"][key]), key
    assert parse_quantity(limits["max"]["cpu"]) == parse_quantity(SESSIONS.max_cpu)
    assert parse_quantity(limits["max"]["memory"]) == parse_quantity(SESSIONS.max_memory)
    for key, amount in limits["default"].items():
        assert parse_quantity(amount) <= parse_quantity(limits["max"][key])


def test_the_quota_holds_its_number_of_default_sessions_and_not_one_more() -> None:
    hard = {key: parse_quantity(value) for key, value in one("ResourceQuota")["spec"]["hard"].items()}
    (container,) = default_pod()["spec"]["containers"]
    for part, amounts in container["resources"].items():
        for key, amount in amounts.items():
            fits = hard[f"{part}.{key}"] // parse_quantity(amount)
            assert fits == hard["pods"], f"{part}.{key}"


def test_an_owners_share_is_a_third_of_the_quota_and_holds_a_third_of_its_default_sessions() -> None:
    hard = {key: parse_quantity(value) for key, value in one("ResourceQuota")["spec"]["hard"].items()}
    assert SESSIONS.max_per_owner <= hard["pods"] / 2  # of smaller ones; the share bounds the others
    jobs = JobLimits(disk_bytes=JOBS.disk_bytes, unfinished=JOBS.max_per_session, follow_seconds=1)
    disk = PodOptions.from_settings(PODS, jobs, SESSIONS.max_ttl_seconds).ephemeral_storage_bytes
    # The quota does not bound disk: all of it is what as many sessions as there may be take at most.
    for whole, share, session in (
        (hard["limits.cpu"], OWNERS.max_cpu, SESSIONS.cpu),
        (hard["limits.memory"], OWNERS.max_memory, SESSIONS.memory),
        (hard["pods"] * disk, OWNERS.max_disk, str(disk)),
    ):
        most = parse_quantity(share)
        assert whole / 4 < most <= whole / 3
        assert most // parse_quantity(session) == hard["pods"] // 3


def test_sessions_displace_no_other_pods() -> None:
    assert one("PriorityClass")["preemptionPolicy"] == "Never"


def test_a_session_on_the_template_passes_the_restricted_standard_and_has_the_priority() -> None:
    pod, template = default_pod(), one("PodTemplate")["template"]
    assert restricted_violations(pod["spec"]) == []
    assert restricted_violations(template["spec"]) == []  # else kubectl warns
    assert pod["spec"]["priorityClassName"] == one("PriorityClass")["metadata"]["name"]
    labels = one("Namespace")["metadata"]["labels"]
    levels = {labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")}
    assert levels == {"restricted"}


def test_the_sessions_account_has_no_token_and_no_role() -> None:
    account = one("ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    for binding in (o for o in rendered() if o["kind"] == "RoleBinding"):
        assert [subject["kind"] for subject in binding["subjects"]] == ["User"]


def reaches(address: str, port: int, protocol: str = "TCP", **labels: str) -> bool:
    """Whether a session's pod may connect to an address outside the cluster's pods."""
    target = ipaddress.ip_address(address)
    for policy in (o for o in rendered(**ALL) if o["kind"] == "NetworkPolicy"):
        selector = policy["spec"]["podSelector"].get("matchLabels", {})
        if not selector.items() <= labels.items():
            continue
        for rule in policy["spec"].get("egress", []):
            ports = rule.get("ports", [{"protocol": protocol, "port": port}])
            blocks = [peer["ipBlock"] for peer in rule.get("to", []) if "ipBlock" in peer]
            if {"protocol": protocol, "port": port} in ports and any(
                _holds(block, target) for block in blocks
            ):
                return True
    return False


def _holds(block: dict[str, Any], target: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    networks = [ipaddress.ip_network(block["cidr"]), *map(ipaddress.ip_network, block.get("except", []))]
    assert all(part.subnet_of(networks[0]) for part in networks)  # type: ignore[arg-type] # Kubernetes asks for it
    return target in networks[0] and not any(target in network for network in networks[1:])


@pytest.mark.parametrize("address", ["142.250.74.74", "8.8.8.8", "2a00:1450:4001:80b::200a"])
def test_a_session_reaches_public_addresses_over_https_only(address: str) -> None:
    assert reaches(address, 443)
    assert not reaches(address, 80)
    assert not reaches(address, 53, "UDP")
    assert not reaches(address, 443, "UDP")


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "169.254.169.252", "fd20:ce::254"),  # the metadata server
        *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "127.0.0.1", "0.0.0.0"),
        *("198.18.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.0.192"),
        *("::1", "fe80::1", "fc00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001::a00:1"),
    ],
)
def test_a_session_reaches_nothing_that_is_not_public(address: str) -> None:
    assert not any(reaches(address, port) for port in (80, 443, 988, 8080, 10250, 53))
    assert not reaches(address, 53, "UDP")


def test_dns_is_the_clusters_or_the_nodes_cache() -> None:
    assert reaches("169.254.20.10", 53, "UDP")
    assert reaches("169.254.20.10", 53)
    assert not reaches("169.254.20.10", 443)
    (rule,) = one("NetworkPolicy", "allow-dns")["spec"]["egress"]
    pods = rule["to"][0]
    assert pods["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}


def test_nothing_else_comes_in_or_goes_out() -> None:
    deny = one("NetworkPolicy", "default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in (o["spec"] for o in rendered(**ALL) if o["kind"] == "NetworkPolicy"):
        assert "ingress" not in policy or policy["podSelector"] != {}


def test_service_and_ingress_are_there_when_asked_for() -> None:
    kinds = {o["kind"] for o in rendered()}
    assert not kinds & {"Service", "Ingress"}
    assert "Ingress" not in {o["kind"] for o in rendered(k8s_service_name="functions")}
    (rule,) = one("Ingress", **ALL, k8s_ingress_path="/gam")["spec"]["rules"]
    (way,) = rule["http"]["paths"]
    assert (rule["host"], way["path"]) == ("gam.example.com", "/gam")
    assert way["backend"]["service"]["name"] == one("Service", **ALL)["metadata"]["name"] == "functions"
    with pytest.raises(ValueError, match="K8S_SERVICE_NAME"):
        rendered(k8s_ingress_host="gam.example.com")


def test_whatever_a_value_holds_it_stays_one_value() -> None:
    odd = 'a: [b]\n---\nkind: "${k8s_service_account}"'
    assert one("Namespace", k8s_namespace=odd)["metadata"]["name"] == odd
    assert {o["metadata"].get("namespace", odd) for o in rendered(k8s_namespace=odd)} == {odd}


def test_values_come_from_the_environment(capsys: pytest.CaptureFixture[str]) -> None:
    environ = {"K8S_NAMESPACE": "elsewhere", "K8S_FUNCTIONS_USER": USER, "K8S_SERVICE_NAME": ""}
    assert manifests.main(environ) == 0
    printed = list(yaml.safe_load_all(capsys.readouterr().out))
    assert printed == rendered(k8s_namespace="elsewhere")
    assert printed[0]["kind"] == "Namespace"
    assert manifests.main({"K8S_INGRESS_HOST": "gam.example.com"}) == 2


def test_without_a_user_nobody_may_do_anything() -> None:
    assert "RoleBinding" not in {o["kind"] for o in manifests.objects(VALUES, {})}


def test_every_object_has_the_shape_that_the_local_cluster_knows() -> None:
    for found in rendered(**ALL):
        check_shape(resource_of(found), found)
        assert path(found)


@needs_kubectl
async def test_kubectl_applies_them_twice_and_deletes_them(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    file = tmp_path / "manifests.yaml"
    file.write_text(yaml.safe_dump_all(rendered(**ALL)))
    async with LocalCluster(tmp_path / "cluster", images) as cluster:

        async def run(*arguments: str) -> str:
            status, output, errors = await kubectl(str(cluster.kubeconfig), *arguments)
            assert (status, errors) == (0, ""), (output, errors)
            return output

        count = len(rendered(**ALL))
        assert (await run("apply", "-f", str(file))).count(" created\n") == count
        assert (await run("apply", "-f", str(file))).count(" unchanged\n") == count
        listed = await run("get", "-f", str(file), "-o", "name")
        assert len(listed.split()) == count
        await run("delete", "-f", str(file), "--ignore-not-found", "--timeout=300s")
        assert await run("get", "-f", str(file), "--ignore-not-found") == ""
