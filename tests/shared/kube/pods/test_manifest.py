"""The session pod's manifest, compared whole, and what an operator's template may change."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.credentials.model import NAMES
from shared.core.sessions.model import Resources, Session, SessionState
from shared.kube.credentials.copying import MOUNTED
from shared.kube.jobs.runtime import JOBS
from shared.kube.pods.manifest import START_SCRIPT, PodOptions, merge, pod_manifest

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OPTIONS = PodOptions(
    service_account="",
    runtime_class="",
    disk="2Gi",
    disk_request="",
    jobs_disk_bytes=2 * 1024**3,
    max_ttl_seconds=86400,
)
SESSION = Session(
    id="saaaaaaaaaaaaaaaa",
    owner="ann@example.com",
    name="one",
    state=SessionState.PENDING,
    image="example.com/gam:1",
    resources=Resources("500m", "512Mi"),
    labels={"team": "it"},
    cluster="c",
    namespace="gamgui",
    pod_name="gam-saaaaaaaaaaaaaaaa",
    created_at=NOON,
    last_used_at=NOON,
    expires_at=NOON + timedelta(hours=8),
    idle_seconds=60,
    credentials=("oauth2.txt",),
)

WHOLE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "gam-saaaaaaaaaaaaaaaa",
        "namespace": "gamgui",
        "labels": {
            "app.kubernetes.io/managed-by": "gamgui",
            "gamgui.io/session": "saaaaaaaaaaaaaaaa",
            "gamgui.io/owner": "0829fb2e0b7cc0ea42c9fdaa2dd4e5ee",
        },
    },
    "spec": {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": 86400 + 120,
        "terminationGracePeriodSeconds": 5,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "runAsGroup": 1000,
            "fsGroup": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "session",
                "image": "example.com/gam:1",
                "imagePullPolicy": "IfNotPresent",
                "command": ["/bin/sh", "-c", START_SCRIPT],
                "workingDir": "/workspace",
                "env": [
                    {"name": "GAMCFGDIR", "value": "/home/gam/.gam"},
                    {"name": "HOME", "value": "/home/gam"},
                ],
                "resources": {
                    "requests": {"cpu": "500m", "memory": "512Mi"},
                    "limits": {"cpu": "500m", "memory": "512Mi"},
                },
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "privileged": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [
                    {"name": "workspace", "mountPath": "/workspace"},
                    {"name": "home", "mountPath": "/home/gam"},
                    {"name": "tmp", "mountPath": "/tmp"},
                    {"name": "jobs", "mountPath": "/var/lib/gamgui/jobs"},
                    {"name": "credentials", "mountPath": "/var/lib/gamgui/credentials", "readOnly": True},
                ],
            }
        ],
        "volumes": [
            {"name": "workspace", "emptyDir": {"sizeLimit": "2Gi"}},
            {"name": "home", "emptyDir": {"sizeLimit": "2Gi"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}},
            {"name": "jobs", "emptyDir": {"sizeLimit": "2415919104"}},
            {
                "name": "credentials",
                "secret": {
                    "secretName": "gam-credentials-71d4f55f72fa128dfb468a1a3901507c",
                    "optional": True,
                    "defaultMode": 0o440,
                    "items": [{"key": "oauth2.txt", "path": "oauth2.txt"}],
                },
            },
        ],
    },
}


def test_the_manifest_is_exactly_this() -> None:
    manifest = pod_manifest(SESSION, OPTIONS)
    manifest["metadata"]["labels"]["gamgui.io/owner"] = WHOLE["metadata"]["labels"]["gamgui.io/owner"]
    assert manifest == WHOLE


@given(
    labels=st.dictionaries(
        st.sampled_from(["app", "team", "istio.io/rev", "sidecar.istio.io/inject", "gamgui.io/owner", "x"]),
        st.sampled_from(["", "a", "true", "gateway"]),
    )
)
def test_whatever_labels_a_caller_gives_the_pod_is_the_same(labels: dict[str, str]) -> None:
    session = dataclasses.replace(SESSION, labels=labels)
    for template in ({}, HOSTILE_TEMPLATE):
        assert pod_manifest(session, OPTIONS, template) == pod_manifest(SESSION, OPTIONS, template)


def test_service_account_and_runtime_class_are_the_operators() -> None:
    options = dataclasses.replace(OPTIONS, service_account="sessions", runtime_class="gvisor")
    spec = pod_manifest(SESSION, options)["spec"]
    assert (spec["serviceAccountName"], spec["runtimeClassName"]) == ("sessions", "gvisor")


@given(env=st.dictionaries(st.text(min_size=1), st.text()))
def test_whatever_variables_a_caller_gives_the_pod_is_the_same(env: dict[str, str]) -> None:
    assert pod_manifest(dataclasses.replace(SESSION, env=env), OPTIONS) == pod_manifest(SESSION, OPTIONS)


SOME = st.lists(st.sampled_from(NAMES), unique=True).map(lambda chosen: tuple(sorted(chosen)))


@given(has=SOME, choice=st.none() | SOME)
def test_the_pod_mounts_the_files_that_the_sessions_document_names_and_no_others(
    has: tuple[str, ...], choice: tuple[str, ...] | None
) -> None:
    session = dataclasses.replace(SESSION, credentials=has, credentials_choice=choice)
    manifest = pod_manifest(session, OPTIONS)
    plain = pod_manifest(SESSION, OPTIONS)
    volumes, mounts = manifest["spec"]["volumes"], manifest["spec"]["containers"][0]["volumeMounts"]
    if not has:
        assert "credentials" not in json.dumps([volumes, mounts])
        return
    secret = volumes[-1]["secret"]
    assert secret["items"] == [{"key": name, "path": name} for name in has]
    assert secret["optional"] is True
    secret["items"] = plain["spec"]["volumes"][-1]["secret"]["items"]
    assert manifest == plain


HOSTILE_TEMPLATE: dict[str, Any] = {
    "metadata": {
        "labels": {"team": "ops", "gamgui.io/session": "other"},
        "annotations": {"a": "b"},
        "name": "x",
    },
    "spec": {
        "hostNetwork": True,
        "hostPID": True,
        "hostIPC": True,
        "shareProcessNamespace": True,
        "automountServiceAccountToken": True,
        "restartPolicy": "Always",
        "securityContext": {"runAsUser": 0, "runAsNonRoot": False, "supplementalGroups": [7]},
        "nodeSelector": {"pool": "gam"},
        "tolerations": [{"key": "gam", "operator": "Exists"}],
        "volumes": [
            {"name": "shared", "configMap": {"name": "c"}},
            {"name": "home", "hostPath": {"path": "/"}},
        ],
        "containers": [
            {
                "name": "session",
                "image": "evil",
                "command": ["evil"],
                "args": ["evil"],
                "lifecycle": {"postStart": {"exec": {"command": ["evil"]}}},
                "securityContext": {"privileged": True, "capabilities": {"add": ["SYS_ADMIN"]}},
                "volumeMounts": [{"name": "shared", "mountPath": "/etc/shared"}],
                "resources": {"limits": {"ephemeral-storage": "1Gi", "memory": "1Ti"}},
            },
            {"name": "proxy", "image": "proxy:1"},
        ],
    },
}


def test_a_templates_placement_volumes_and_sidecars_survive() -> None:
    manifest = pod_manifest(SESSION, OPTIONS, HOSTILE_TEMPLATE)
    spec = manifest["spec"]
    assert spec["nodeSelector"] == {"pool": "gam"}
    assert spec["tolerations"] == [{"key": "gam", "operator": "Exists"}]
    assert {"name": "shared", "configMap": {"name": "c"}} in spec["volumes"]
    assert [container["name"] for container in spec["containers"]] == ["session", "proxy"]
    mounts = [mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]]
    assert mounts == ["/workspace", "/home/gam", "/tmp", JOBS, MOUNTED, "/etc/shared"]
    assert spec["containers"][0]["resources"]["limits"] == {
        "ephemeral-storage": "1Gi",
        "cpu": "500m",
        "memory": "512Mi",
    }
    assert manifest["metadata"]["annotations"] == {"a": "b"}
    assert manifest["metadata"]["labels"]["team"] == "ops"
    assert spec["securityContext"]["supplementalGroups"] == [7]


def test_a_template_cannot_undo_the_isolation() -> None:
    manifest = pod_manifest(SESSION, OPTIONS, HOSTILE_TEMPLATE)
    spec, plain = manifest["spec"], pod_manifest(SESSION, OPTIONS)["spec"]
    for field in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
        assert field not in spec
    assert spec["automountServiceAccountToken"] is False
    assert spec["restartPolicy"] == "Never"
    assert spec["securityContext"] | plain["securityContext"] == spec["securityContext"]
    ours = spec["containers"][0]
    for field in ("image", "command", "securityContext", "env", "name"):
        assert ours[field] == plain["containers"][0][field]
    assert "args" not in ours
    assert "lifecycle" not in ours
    assert manifest["metadata"]["labels"]["gamgui.io/session"] == SESSION.id
    assert manifest["metadata"]["name"] == SESSION.pod_name


def test_a_templates_volume_cannot_take_the_place_of_ours() -> None:
    spec = pod_manifest(SESSION, OPTIONS, HOSTILE_TEMPLATE)["spec"]
    home = next(volume for volume in spec["volumes"] if volume["name"] == "home")
    assert home == {"name": "home", "emptyDir": {"sizeLimit": "2Gi"}}


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(under=_json, over=_json)
def test_merging_never_fails_and_what_is_over_wins(under: Any, over: Any) -> None:
    merged = merge(under, over)
    if not isinstance(over, dict | list):
        assert merged == over
    assert merge({}, over) == over
    assert merge(over, over) == over


@pytest.mark.parametrize("template", [{}, {"spec": {}}, {"spec": {"containers": None}}, {"metadata": None}])
def test_an_empty_template_changes_nothing(template: dict[str, Any]) -> None:
    assert pod_manifest(SESSION, OPTIONS, template) == pod_manifest(SESSION, OPTIONS)


@pytest.mark.parametrize(
    ("asked", "requested"), [("256Mi", "268435456"), ("1Ti", "8925478912")], ids=["a part", "more than all"]
)
def test_a_pod_asks_for_disk_where_the_operator_says_so(asked: str, requested: str) -> None:
    options = dataclasses.replace(OPTIONS, disk_request=asked)
    resources = pod_manifest(SESSION, options)["spec"]["containers"][0]["resources"]
    assert resources["requests"]["ephemeral-storage"] == requested
    assert resources["limits"]["ephemeral-storage"] == "8925478912"  # all volumes, and the log
