"""What we build, before the official client's models: a misspelt field fails, however deep it is."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from local import manifests
from shared.core.credentials.model import NAMES, Credentials
from shared.kube.credentials.secret import KubernetesSecrets
from shared.kube.pods.manifest import pod_manifest
from tests.shared.kube.credentials.test_secret import ANN, FILE
from tests.shared.kube.pods.test_manifest import HOSTILE_TEMPLATE, OPTIONS, SESSION
from tests.support.exec_server import api_at
from tests.support.kube_server import Answer, KubeServer
from tests.support.witness import confirm, fields, snake_case

Object = dict[str, Any]

USERS = dict.fromkeys(manifests.function_roles(), "functions@demo.iam.gserviceaccount.com")
OPTIONAL = {"k8s_service_name": "functions", "k8s_ingress_host": "gam.example.com"}


def infrastructure() -> list[Object]:
    return manifests.objects({**manifests.defaults(), **OPTIONAL}, USERS)


def templates() -> list[Mapping[str, Any] | None]:
    (ours,) = [found["template"] for found in infrastructure() if found["kind"] == "PodTemplate"]
    return [None, {}, ours, HOSTILE_TEMPLATE]


def pods() -> Iterator[Object]:
    """A session's pod in all its forms."""
    choices = [
        OPTIONS,
        dataclasses.replace(OPTIONS, service_account="gam", runtime_class="gvisor", disk_request="4Gi"),
    ]
    for options, template, files in itertools.product(choices, templates(), [(), NAMES]):
        yield pod_manifest(dataclasses.replace(SESSION, credentials=files), options, template)


def named(objects: list[Object]) -> dict[str, Object]:
    return {f"{found['kind']} {found['metadata']['name']}": found for found in objects}


@pytest.mark.parametrize("built", named(infrastructure()).values(), ids=named(infrastructure()))
def test_the_objects_of_the_infrastructure_are_kubernetes(built: Object) -> None:
    confirm(built)


def test_a_pod_is_kubernetes_whatever_the_operator_and_the_session_choose() -> None:
    for built in pods():
        confirm(built)


async def test_what_is_written_of_secrets_and_said_with_deletions_is_kubernetes() -> None:
    async with KubeServer([Answer(body={"kind": "Secret"})]).running() as server:
        api = api_at(server.url)
        secrets = KubernetesSecrets(api, "gamgui")
        await secrets.replace(ANN, Credentials({FILE.name: FILE}))
        await secrets.replace(ANN, Credentials({FILE.name: FILE}, "7"))
        await secrets.replace(ANN, Credentials({}, "7"))
        await api.close()
    assert [found["kind"] for found in server.confirmed] == ["Secret", "Secret", "DeleteOptions"]


BUILT = {**named(infrastructure()), **{f"Pod {at}": pod for at, pod in enumerate(pods())}}


def misspellings(name: str) -> set[str]:
    return {name[:-1], name + "s", name[1:], name.upper(), name.capitalize(), snake_case(name), ""} - {name}


@pytest.mark.parametrize("built", BUILT.values(), ids=BUILT)
def test_a_misspelt_field_is_noticed_at_every_depth(built: Object) -> None:
    for *way, name in fields(built):
        if name in ("apiVersion", "kind"):
            continue
        for wrong in misspellings(str(name)):
            spoilt = copy.deepcopy(built)
            place: Any = spoilt
            for step in way:
                place = place[step]
            place[wrong] = place.pop(name)
            with pytest.raises(AssertionError):
                confirm(spoilt)


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("v1", "Pods"),
        ("v1", "pod"),
        ("v2", "Pod"),
        ("apps/v1", "Pod"),
        ("v1", "Role"),
        ("rbac/v1", "Role"),
        ("rbac.authorization.k8s.io/v1beta1", "Role"),
        ("networking.k8s.io/v1", "NetworkPolicies"),
    ],
)
def test_a_kind_that_is_not_in_that_version_of_the_api_is_noticed(version: str, kind: str) -> None:
    with pytest.raises(AssertionError):
        confirm({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}})


@pytest.mark.parametrize(
    ("way", "value"),
    [
        (("spec", "activeDeadlineSeconds"), "86400"),
        (("spec", "containers"), {}),
        (("spec", "containers", 0, "command"), "sh"),
        (("spec", "containers", 0, "securityContext", "privileged"), "false"),
        (("spec", "volumes", 0, "emptyDir", "sizeLimit"), {"gi": 1}),
        (("metadata", "labels"), ["a"]),
    ],
)
def test_a_value_of_another_type_is_noticed(way: tuple[Any, ...], value: Any) -> None:
    spoilt = copy.deepcopy(pod_manifest(SESSION, OPTIONS))
    place: Any = spoilt
    for step in way[:-1]:
        place = place[step]
    place[way[-1]] = value
    with pytest.raises(AssertionError):
        confirm(spoilt)
