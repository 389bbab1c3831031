"""pytest fixtures of Firestore's emulator. Import them in a folder's conftest.py."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator

import pytest

from tests.support.firestore_emulator import EmulatorAbsentError, firestore_emulator


@pytest.fixture(scope="session")
def firestore_host() -> Iterator[str]:
    """host:port of one emulator for all tests; skips without one.

    With REQUIRE_FIRESTORE_EMULATOR=1 the test fails instead.
    """
    with contextlib.ExitStack() as stack:
        try:
            host = stack.enter_context(firestore_emulator())
        except EmulatorAbsentError as error:
            if os.environ.get("REQUIRE_FIRESTORE_EMULATOR") == "1":
                pytest.fail(f"REQUIRE_FIRESTORE_EMULATOR=1, but {error}")
            pytest.skip(str(error))
        yield host


@pytest.fixture
def firestore_project() -> str:
    """A project of the test's own: nothing is in it, and nobody else looks."""
    return f"test-{secrets.token_hex(6)}"
