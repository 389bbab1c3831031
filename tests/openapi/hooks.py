"""A check of our own for schemathesis, loaded through SCHEMATHESIS_HOOKS."""

from __future__ import annotations

import schemathesis
from schemathesis import Case, Response
from schemathesis.checks import CheckContext

# What a JSON schema cannot say: a quantity's bounds, what a page_token looks like (it is opaque),
# that a number is to be written without fraction or exponent, that a key was used before.
_NOT_IN_THE_SCHEMA = ("resources.cpu", "resources.memory", "page_token")


@schemathesis.check
def described_data_is_accepted(ctx: CheckContext, response: Response, case: Case) -> None:
    """A request that the description allows is not called invalid."""
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or response.status_code not in (400, 422):
        return
    problem = response.json()
    if problem["reason"] == "IDEMPOTENCY_KEY_REUSED" or problem.get("field") in _NOT_IN_THE_SCHEMA:
        return
    if "Expected `int" in problem["detail"] and "got `float`" in problem["detail"]:
        return
    raise AssertionError(f"refused although described: {problem}")
