"""One cluster for the tests of a process, and where they count."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.faults.sweep import Point
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
def firestore_place(kubeconfig: str, tmp_path: Path, firestore_host: str) -> Place:
    """Sessions are kept in Firestore."""
    return Place(kubeconfig, tmp_path, firestore_host)


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Callable[[str, Sequence[Point]], None]:
    """Counts the points of an operation."""
    return lambda name, points: record_property(PROPERTY, (name, len(points)))
