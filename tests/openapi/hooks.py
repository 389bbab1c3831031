"""Checks and corrections of our own for schemathesis, loaded through SCHEMATHESIS_HOOKS."""

from __future__ import annotations

from typing import Any, TypeAlias

import schemathesis
from schemathesis import Case, HookContext, Response
from schemathesis.checks import CheckContext
from schemathesis.core.failures import Failure

# What a JSON schema cannot say: a quantity's bounds, what a page_token looks like (it is opaque),
# that a number is to be written without fraction or exponent, that one
# header needs another and that the numbers in it are in order.
_NOT_IN_THE_SCHEMA = (
    "resources.cpu",
    "resources.memory",
    "page_token",
    "cursor",
    "Upload-Id",
    "Content-Range",
)
# Headers whose patterns the coverage phase does not keep: it sends 0.
_NOT_KEPT = ("Content-Digest", "Repr-Digest")
# A key that was used before; which of three files a path names.
_REFUSED_BY_MEANING = ("IDEMPOTENCY_KEY_REUSED", "CREDENTIALS_INVALID")
_REFUSED_BY_THE_SERVER = b"Invalid HTTP request received."

AnyCase: TypeAlias = Case[Any]


# schemathesis writes maxLength into a pattern that repeats one class. Compiling {0,131072} takes a second,
# for each of a hundred schemas. It leaves this spelling of the same language alone.
_SAME_LANGUAGE = {r"^[^\x00]*$": r"^(?:[^\x00]*|[^\x00])$"}


@schemathesis.hook
def before_load_schema(context: HookContext, raw_schema: dict[str, Any]) -> None:
    """Spells patterns so that compiling them is cheap: the texts that they admit stay the same."""
    nodes: list[Any] = [raw_schema]
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            pattern = node.get("pattern")
            if isinstance(pattern, str):
                node["pattern"] = _SAME_LANGUAGE.get(pattern, pattern)
            nodes.extend(node.values())
        elif isinstance(node, list):
            nodes.extend(node)


@schemathesis.hook
def before_call(context: HookContext, case: AnyCase, kwargs: dict[str, Any]) -> None:
    """What OpenAPI cannot say: exec's query goes with one of its two kinds of body."""
    if case.operation.definition.raw.get("operationId") != "execCommand":
        return
    if case.meta is not None and case.meta.generation.mode.is_positive:
        if case.media_type == "application/json":
            case.query = {}
        elif not case.query.get("command"):
            case.query["command"] = ["true"]


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: AnyCase, response: Response) -> bool:
    """A request whose head is longer than 64 KiB never reaches us: the server itself refuses it."""
    return response.content != _REFUSED_BY_THE_SERVER


@schemathesis.check
def described_data_is_accepted(ctx: CheckContext, response: Response, case: AnyCase) -> None:
    """A request that the description allows is not called invalid."""
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or response.status_code not in (400, 422):
        return
    if response.content == _REFUSED_BY_THE_SERVER:
        return
    problem = response.json()
    if problem["reason"] in _REFUSED_BY_MEANING:
        return
    if problem.get("field") in _NOT_IN_THE_SCHEMA + _NOT_KEPT:
        return
    if "Expected `int" in problem["detail"] and "got `float`" in problem["detail"]:
        return
    raise AssertionError(f"refused although described: {problem}")


@schemathesis.check
def json_is_not_kept(ctx: CheckContext, response: Response, case: AnyCase) -> None:
    """No cache may keep what is answered as JSON: an answer is its caller's own, and true for a moment."""
    kinds, said = response.headers.get("content-type", []), response.headers.get("cache-control", [])
    if any("json" in kind or "event-stream" in kind for kind in kinds):
        assert any("no-store" in one for one in said), f"Cache-Control: {said}"
