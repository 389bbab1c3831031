"""Settings for all tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support import points, proofs
from tests.support.needs import pytest_collection_finish, pytest_configure, pytest_runtest_setup, summary

__all__ = ["pytest_collection_finish", "pytest_configure", "pytest_runtest_setup", "pytest_terminal_summary"]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What went wrong on purpose, and what was skipped for want of what."""
    points.pytest_terminal_summary(terminalreporter)
    for line in summary(terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(line)


# How long an example takes says something about the machine, not about the code.
settings.register_profile("fuzz", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# A test that passed passes again: what nobody has looked for yet is looked for with `make fuzz`.
settings.register_profile("repeatable", settings.get_profile("fuzz"), derandomize=True)
settings.load_profile("repeatable")

LONG = (
    "openapi/test_fuzzing.py",
    "local/test_laptop.py",
    "faults/test_store_faults.py",
    "faults/test_cluster_faults.py",
    "faults/test_crashes.py",
    "shared/kube/jobs/test_script.py",
    "shared/core/sessions/test_floods.py",
    "shared/kube/exec/test_supervisor.py",
    "infra/test_manifests.py",
    "shared/store/test_firestore.py",
    "infra/test_roles.py",
    "shared/kube/exec/test_recordings.py",
    "shared/core/files/test_unpack_script.py",
    "local/test_environment.py",
    "shared/test_credentials_leaks.py",
    "shared/core/files/test_put_script.py",
    "shared/kube/api/test_client.py",
    "shared/core/files/test_races.py",
    "contract/test_exec.py",
    "shared/telemetry/test_collectors.py",
    "local/cluster/test_kubectl.py",
    "shared/test_two_clusters.py",
    "shared/test_linear_parsers.py",
    "contract/test_exec_stdin.py",
    "contract/test_shutdown.py",
    "shared/core/files/test_tar_reader.py",
    "shared/kube/connect/kubeconfig/test_model.py",
    "contract/test_files.py",
    "contract/test_large_files.py",
    "contract/test_soak.py",
    "contract/test_jobs.py",
    "functions/test_alone.py",
    "shared/web/test_largest_requests.py",
)
"""Files that take longest, and so begin first: at the end all processes have something to do."""

_TESTS = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Moves long files to the front; within a file, and among the others, the order stays.

    Of a proof that consists of tests, those that are not in this run's part are left out.
    """
    kept = proofs.chosen(items)
    if len(kept) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept
    places = {_TESTS / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path, len(LONG)))
