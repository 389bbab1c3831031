"""Who may run cleanup."""

from __future__ import annotations

import pytest

from shared.errors import PermissionDenied
from shared.reasons import Reason
from shared.web.api.cleanup import require_caller
from tests.support.people import BOB, person

CALLERS = ("Scheduler@Example.com", "other@example.com")


def test_an_address_is_one_in_whatever_case_the_operator_wrote_it() -> None:
    require_caller(person("scheduler@example.com"), CALLERS)
    require_caller(person("other@example.com"), CALLERS)


def test_others_may_not() -> None:
    with pytest.raises(PermissionDenied) as caught:
        require_caller(BOB, CALLERS)
    assert caught.value.reason == Reason.CLEANUP_NOT_ALLOWED
