"""pytest fixtures of Firestore's emulator. Import them in a folder's conftest.py."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator

import pytest

from tests.support.firestore_emulator import firestore_emulator


@pytest.fixture(scope="session")
def firestore_host() -> Iterator[str]:
    """host:port of one emulator for all tests; ``tests.support.needs`` skips them without one."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(firestore_emulator())


@pytest.fixture
def firestore_project() -> str:
    """A project of the test's own: nothing is in it, and nobody else looks."""
    return f"test-{secrets.token_hex(6)}"
