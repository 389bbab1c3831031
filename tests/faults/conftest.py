"""One cluster for the tests of a process, and where they count."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.faults.world import Place
from tests.support import laptop
from tests.support.firestore_fixtures import firestore_host
from tests.support.points import PROPERTY

__all__ = ["firestore_host"]


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with laptop.local_cluster(tmp_path_factory.mktemp("faults") / "cluster") as path:
        yield path


@pytest.fixture
def place(kubeconfig: str, tmp_path: Path) -> Place:
    """Sessions are kept in SQLite."""
    return Place(kubeconfig, tmp_path)


@pytest.fixture
def gated_place(kubeconfig: str, tmp_path: Path) -> Place:
    """Sessions are kept in SQLite, and tests stop its calls too."""
    return Place(kubeconfig, tmp_path, store_gated=True)


@pytest.fixture
def firestore_place(kubeconfig: str, tmp_path: Path, firestore_host: str) -> Place:
    """Sessions are kept in Firestore."""
    return Place(kubeconfig, tmp_path, firestore_host, cluster_fails=False)


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Callable[[str, Mapping[str, int]], None]:
    """Counts the points of operations."""

    def counted(what: str, points: Mapping[str, int]) -> None:
        for name, number in points.items():
            record_property(PROPERTY, (f"{what}: {name}", number))

    return counted
