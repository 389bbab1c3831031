"""What put.sh is said to have answered: a result, or an answer that cannot be read."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.files.upload import Progress, Stored, read_result
from shared.errors import TransferFailed

HASH = "0123456789abcdef" * 4


def test_a_result_is_read() -> None:
    assert read_result(["have", "12"]) == Progress(12)
    assert read_result(["stored", "12", HASH, "created"]) == Stored(12, HASH, created=True)
    assert read_result(["stored", "0", HASH, "replaced"]) == Stored(0, HASH, created=False)


@pytest.mark.parametrize("size", ["", "x", "-1", "1_0", "1" * 19, "9" * 5000, "²", "٣"])
def test_a_size_that_is_none_or_longer_than_any_is_not_understood(size: str) -> None:
    for words in (["have", size], ["stored", size, HASH, "created"]):
        with pytest.raises(TransferFailed):
            read_result(words)


numbers = st.integers().map(str) | st.text("0123456789", max_size=60).map(lambda digits: digits * 100)
words_of_any_kind = st.sampled_from(["have", "stored", HASH, "created"]) | numbers | st.text(max_size=20)


@given(st.lists(words_of_any_kind, max_size=6))
def test_whatever_a_pod_answers_is_a_result_or_a_fault_of_its_own(words: list[str]) -> None:
    with contextlib.suppress(TransferFailed):
        read_result(words)
