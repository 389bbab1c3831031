"""A part of a proof is that part, the same for the same seed, and all parts together are all of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.support import proofs


@dataclasses.dataclass(frozen=True)
class Item:
    """What is asked of a test here."""

    nodeid: str


ITEMS: list[Any] = [Item(f"tests/test_{number}.py::test") for number in range(1000)]


def test_repetitions_are_a_part_in_make_test_and_all_of_them_in_a_proof(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PROVE", "PROVE_PART", "CONTRACT_CLUSTER"):
        monkeypatch.delenv(name, raising=False)
    assert proofs.times(2000, 400) == 400
    assert proofs.chosen(ITEMS) == ITEMS
    monkeypatch.setenv("PROVE", "1")
    assert proofs.times(2000, 400) == 2000
    monkeypatch.setenv("PROVE_PART", "10")
    assert (proofs.times(2000, 400), proofs.times(5, 1)) == (200, 1)
    assert proofs.chosen(ITEMS) == ITEMS


def test_the_seed_chooses_a_tenth_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVE", "tests")
    monkeypatch.setenv("PROVE_PART", "10")
    found = []
    for seed in ("a", "a", "b"):
        monkeypatch.setenv("PROVE_SEED", seed)
        found.append(proofs.chosen(ITEMS))
    assert found[0] == found[1] != found[2]
    assert all(50 < len(part) < 150 for part in found)
    monkeypatch.setenv("PROVE_PART", "1")
    assert proofs.chosen(ITEMS) == ITEMS
