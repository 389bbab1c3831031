"""The workflow of GitHub: what it trusts, and what it may do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from tests.support.laptop import ROOT

WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yaml").read_text())


def steps() -> Iterator[dict[str, Any]]:
    for job in WORKFLOW["jobs"].values():
        yield from job["steps"]


def test_it_may_read_the_source_and_nothing_else() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    for job in WORKFLOW["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 90
    checkouts = [step for step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) == len(WORKFLOW["jobs"])
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_nothing_that_others_write_gets_into_a_script() -> None:
    for step in steps():
        assert "${{" not in step.get("run", "")


def test_the_contract_tests_run_on_a_real_cluster() -> None:
    runs = [step.get("run", "") for step in WORKFLOW["jobs"]["cluster"]["steps"]]
    assert any("make manifests" in run for run in runs)
    assert any(run.startswith("make test-cluster ") for run in runs)
