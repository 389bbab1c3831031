"""Terraform and `make manifests` make the same objects of the same files."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from local import manifests
from tests.support.laptop import ROOT
from tests.support.needs import needs
from tests.support.patience import PATIENCE

WORKLOADS = ROOT / "infra/terraform/workloads"
needs_terraform = needs("terraform")
USERS = {function: f"{function}@demo.iam.gserviceaccount.com" for function in manifests.function_roles()}


def terraform(folder: Path, *arguments: str) -> str:
    """What terraform says, with all that it writes in ``folder``."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TF_DATA_DIR": str(folder / "data"),
        "TF_IN_AUTOMATION": "1",
        "CHECKPOINT_DISABLE": "1",
    }
    run = subprocess.run(
        ["terraform", f"-chdir={WORKLOADS / 'objects'}", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def made(folder: Path, **variables: Any) -> list[dict[str, Any]]:
    """The objects as Terraform makes them."""
    (folder / "variables.tfvars.json").write_text(json.dumps(variables))
    state = f"-state={folder / 'state'}"
    terraform(folder, "init", "-input=false")
    terraform(
        folder, "apply", "-auto-approve", state, f"-var-file={folder / 'variables.tfvars.json'}", "-no-color"
    )
    outputs = json.loads(terraform(folder, "output", state, "-json"))
    return [outputs["namespace"]["value"], *outputs["objects"]["value"].values()]


def by_name(objects: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    found = {(o["kind"], o["metadata"]["name"]): o for o in objects}
    assert len(found) == len(objects)
    return found


@needs_terraform
def test_what_nobody_chose_is_the_same(tmp_path: Path) -> None:
    ours = manifests.objects(manifests.defaults(), USERS)
    assert by_name(made(tmp_path, function_service_accounts=USERS)) == by_name(ours)


@needs_terraform
def test_what_somebody_chose_is_the_same(tmp_path: Path) -> None:
    values = {
        "k8s_namespace": "sessions",
        "k8s_service_account": "pods",
        "k8s_pod_template": "template",
        "k8s_priority_class": "people",
        "k8s_preemption_policy": "PreemptLowerPriority",
        "k8s_cluster_role": "see",
        "max_session_cpu": "4",
        "max_session_memory": "8Gi",
        "quota_sessions": "3",
        "quota_cpu": "5",
        "quota_memory": "6Gi",
        "k8s_service_name": "functions",
        "k8s_ingress_host": "gam.example.com",
        "k8s_ingress_path": "/gam",
    }
    some = {function: USERS[function] for function in ("create_session", "session_jobs")}
    theirs = made(
        tmp_path,
        namespace="sessions",
        service_account="pods",
        pod_template="template",
        priority_class="people",
        preemption_policy="PreemptLowerPriority",
        cluster_role="see",
        max_session={"cpu": "4", "memory": "8Gi"},
        quota={"sessions": 3, "cpu": "5", "memory": "6Gi"},
        functions_in_cluster={
            "service_name": "functions",
            "ingress_host": "gam.example.com",
            "ingress_path": "/gam",
        },
        function_service_accounts=some,
    )
    assert by_name(theirs) == by_name(manifests.objects({**manifests.defaults(), **values}, some))
    # Every value but the one that Terraform has no use for can be chosen.
    assert {*manifests.defaults()} - {*values} == {"k8s_functions_user"}


@needs_terraform
def test_terraforms_own_tests_pass(tmp_path: Path) -> None:
    terraform(tmp_path, "init", "-input=false")
    assert "0 failed" in terraform(tmp_path, "test", "-no-color")


def test_the_readme_has_every_variable_and_every_output() -> None:
    readme = (WORKLOADS / "README.md").read_text()
    for file, kind in (("variables.tf", "variable"), ("outputs.tf", "output")):
        names = re.findall(rf'^{kind} "(\w+)"', (WORKLOADS / file).read_text(), re.MULTILINE)
        assert names
        for name in names:
            assert f"| `{name}` |" in readme, name


def test_the_root_and_its_module_have_the_same_variables() -> None:
    def types(file: Path) -> dict[str, str]:
        blocks = re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', file.read_text(), re.MULTILINE | re.DOTALL)
        return {name: _argument(body, "type") for name, body in blocks}

    root, module = types(WORKLOADS / "variables.tf"), types(WORKLOADS / "objects/variables.tf")
    assert all(module.values())
    assert {name: root[name] for name in module} == module


def _argument(block: str, name: str) -> str:
    """An argument of a block, up to the next one."""
    match = re.search(rf"^  {name}\s+= (.*?)(?=^  \w|\Z)", block, re.MULTILINE | re.DOTALL)
    assert match is not None
    return " ".join(match[1].split())
