"""What must hold in Terraform's configuration of the platform, without Terraform."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import hcl2
import pytest

from tests.support.laptop import ROOT
from tests.support.terraform import PLATFORM, blocks, files, local_values, resources, texts

# Each role, and why nothing less does.
ROLES = {
    "roles/artifactregistry.reader": "nodes pull the session image",
    "roles/artifactregistry.writer": "the pipeline pushes images",
    "roles/cloudbuild.builds.editor": "the pipeline has its source tested in a build of its own",
    "roles/container.defaultNodeServiceAccount": "nodes write logs and metrics; acts on no Kubernetes object",
    "roles/datastore.user": "functions read and write documents of one database",
    "roles/datastore.viewer": "functions that only read may not write",
    "roles/iam.serviceAccountOpenIdTokenCreator": "the pipeline is its test client, by ID tokens only",
    "roles/iam.serviceAccountUser": "the pipeline deploys what runs as these accounts, and tests as another",
    "roles/iap.httpsResourceAccessor": "callers pass Identity-Aware Proxy",
    "roles/logging.logWriter": "the pipeline writes its log",
    "roles/ondemandscanning.admin": "the pipeline scans images; there is no lesser role for it",
    "roles/run.developer": "the pipeline deploys revisions of the functions, and of no other service",
    "roles/run.invoker": "callers call",
    "roles/storage.legacyBucketWriter": "the pipeline uploads what is to be tested",
    "roles/storage.objectViewer": "the pipeline and its tests read the source",
}
KEEPS_SECRETS = ("service_account_key", "secret_version", "password", "private_key", "tls_", "ssh_key")


def members() -> dict[str, dict[str, Any]]:
    return {
        address: body
        for address, body in resources(PLATFORM).items()
        if "_iam_" in address and "role" in body
    }


def test_every_role_is_allowed_for_a_reason() -> None:
    found = {
        role
        for content in files(PLATFORM).values()
        for text in texts(content)
        for role in re.findall(r"roles/[A-Za-z0-9.]+", text)
    }
    assert found == set(ROLES)


def test_roles_are_added_never_set() -> None:
    """A binding or a policy would take away what others have."""
    kinds = {address.partition(".")[0] for address in resources(PLATFORM)}
    assert [kind for kind in kinds if kind.endswith(("_iam_binding", "_iam_policy"))] == []


def test_no_function_has_a_role_that_passes_by_rbac() -> None:
    for address, body in members().items():
        if "roles/container" in body["role"]:
            assert "google_service_account.nodes" in body["member"], address
    permissions = resources(PLATFORM)["google_project_iam_custom_role.cluster_connect"]["permissions"]
    assert sorted(permissions) == ["container.clusters.connect", "container.clusters.get"]


def test_the_project_wide_roles_are_few() -> None:
    wide = {
        body["role"] for address, body in members().items() if address.startswith("google_project_iam_member")
    }
    assert wide == {
        '${each.value.writes ? "roles/datastore.user" : "roles/datastore.viewer"}',
        "roles/cloudbuild.builds.editor",
        "roles/container.defaultNodeServiceAccount",
        "roles/logging.logWriter",
        "${each.value}",
        "${google_project_iam_custom_role.cluster_connect.id}",
    }
    store = resources(PLATFORM)["google_project_iam_member.store"]
    assert "databases/${var.firestore_database}" in store["condition"][0]["expression"]


def test_nobody_unknown_is_a_member() -> None:
    for address, body in members().items():
        for text in texts({key: body[key] for key in ("member", "for_each") if key in body}):
            assert "allUsers" not in text, address
            assert "allAuthenticatedUsers" not in text, address
    variables = blocks(PLATFORM, "variable")
    assert variables["access"]["default"] == "invokers"
    assert variables["invokers"]["default"] == []
    [validation] = variables["invokers"]["validation"]
    pattern = re.search(r'regex\("(.*?)", member\)', validation["condition"])
    assert pattern is not None
    for member in ("allUsers", "allAuthenticatedUsers", "user:", "x"):
        assert not re.match(pattern.group(1), member)
    assert re.match(pattern.group(1), "group:admins@example.com")


def test_no_secret_is_in_the_state() -> None:
    for address, body in resources(PLATFORM).items():
        assert not any(word in address.partition(".")[0] for word in KEEPS_SECRETS), address
        keys = {text for text in texts(body) if re.fullmatch(r"[a-z_]+", text)}
        assert not keys & {"password", "secret", "private_key", "oauth2_client_secret", "secret_data"}, (
            address
        )
    for name, variable in blocks(PLATFORM, "variable").items():
        assert "sensitive" not in variable, f"{name}: a secret in a variable is in the state"


def test_what_holds_data_is_protected() -> None:
    found = resources(PLATFORM)
    assert found["google_container_cluster.this"]["deletion_protection"] == "${var.deletion_protection}"
    database = found["google_firestore_database.this"]
    assert "var.deletion_protection" in database["delete_protection_state"]
    assert database["point_in_time_recovery_enablement"] == "POINT_IN_TIME_RECOVERY_ENABLED"
    assert blocks(PLATFORM, "variable")["deletion_protection"]["default"] is True


def test_versions_are_pinned() -> None:
    [terraform] = files(PLATFORM)["versions.tf"]["terraform"]
    [providers] = terraform["required_providers"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", providers["google"]["version"])
    assert terraform["required_version"].startswith(">= ")


@pytest.mark.parametrize("kind", ["variable", "output"])
def test_everything_is_described(kind: str) -> None:
    for name, body in blocks(PLATFORM, kind).items():
        assert body.get("description"), name


@pytest.mark.parametrize("root", [PLATFORM, PLATFORM / "functions"], ids=lambda root: root.name)
def test_every_variable_is_typed_and_checked(root: Path) -> None:
    tests = "".join(path.read_text() for path in (root / "tests").glob("*.tftest.hcl"))
    for name, body in blocks(root, "variable").items():
        assert "type" in body, name
        assert body.get("nullable") is False, name
        if body["type"] != "bool":
            assert body.get("validation"), f"{name} takes anything"
            assert f"expect_failures = [var.{name}]" in tests, f"no test refuses a wrong {name}"


def test_the_outputs_that_workloads_need_are_there() -> None:
    assert {
        *("project_id", "region", "cluster_name", "cluster_location"),
        *("function_service_accounts", "namespace", "artifact_registry"),
    } <= set(blocks(PLATFORM, "output"))


def test_the_readme_tables_are_what_the_files_say() -> None:
    readme = (PLATFORM / "README.md").read_text().partition("## Inputs")[2]
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", readme, re.MULTILINE)
    variables, outputs = blocks(PLATFORM, "variable"), blocks(PLATFORM, "output")
    assert [name for name, _ in rows] == [*variables, *outputs]
    for (name, row), body in zip(rows, [*variables.values(), *outputs.values()], strict=True):
        assert body["description"] in row, name


def test_alerts_look_for_outcomes_that_the_code_writes() -> None:
    code = "".join(path.read_text() for path in (ROOT / "shared").rglob("*.py"))
    for metric in local_values(PLATFORM)["audit_metrics"].values():
        for outcome in metric["outcomes"]:
            assert f'"{outcome}"' in code, outcome
    assert '"session.create"' in code


def test_the_example_sets_variables_that_are_there() -> None:
    example = hcl2.loads((PLATFORM / "terraform.tfvars.example").read_text())
    names = {name for name in example if not name.startswith("__")}
    variables = blocks(PLATFORM, "variable")
    assert names <= set(variables)
    assert {name for name, body in variables.items() if "default" not in body} <= names
