"""The installation's id in every store: the same tests on SQLite and on Firestore's emulator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from shared.errors import InternalError
from shared.reasons import Reason
from shared.store.installation import INSTALLATION, StoredInstallation
from tests.support.stores import Store


async def test_of_processes_that_ask_at_once_one_makes_the_id(new_store: Callable[[], Store]) -> None:
    asking = [StoredInstallation(new_store().engine) for _ in range(8)]
    first, *others = await asyncio.gather(*(one.id() for one in asking))
    assert first
    assert set(others) == {first}
    assert await StoredInstallation(new_store().engine).id() == first


@pytest.mark.parametrize(
    "kept", [{}, {"installation": ""}, {"installation": "A b"}, {"installation": 7}], ids=str
)
async def test_an_id_that_cannot_be_read_is_told_and_no_other_is_made(
    kept: dict[str, Any], store: Store
) -> None:
    """With another id, all that it has made would be somebody else's; with none, all would be its own."""
    await store.engine.put(INSTALLATION, "this", {"id": "this", **kept})
    installation = StoredInstallation(store.engine)
    for _ in range(2):
        with pytest.raises(InternalError) as caught:
            await installation.id()
        assert caught.value.reason == Reason.DOCUMENT_INVALID
    found = await store.engine.get(INSTALLATION, "this")
    assert found is not None
    assert found.document.get("installation") == kept.get("installation")
