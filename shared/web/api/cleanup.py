"""Who may run cleanup, and the report of what it did, as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from starlette.datastructures import QueryParams

from shared.core.cleanup.report import Action, Report
from shared.core.person import Person
from shared.errors import InvalidRequest, PermissionDenied
from shared.identity.claims import lowered
from shared.reasons import Reason
from shared.web.http.paging import single_values


def require_caller(caller: Person, allowed: Iterable[str]) -> None:
    """Refuses a caller who is not among ``CLEANUP_CALLERS``.

    Args:
        caller: The verified caller.
        allowed: E-mail addresses, upper or lower case, as the operator wrote them.

    Raises:
        PermissionDenied: The caller is not among them (reason ``CLEANUP_NOT_ALLOWED``).
    """
    if caller.email not in {lowered(email) for email in allowed}:
        raise PermissionDenied("only CLEANUP_CALLERS may run cleanup", reason=Reason.CLEANUP_NOT_ALLOWED)


def dry_run(query: QueryParams) -> bool:
    """Reads ``dry_run``.

    Raises:
        InvalidRequest: It is neither ``true`` nor ``false``, or there is another parameter.
    """
    value = single_values(query, ("dry_run",)).get("dry_run", "false")
    if value not in ("true", "false"):
        raise InvalidRequest("dry_run is true or false", reason=Reason.INVALID_FIELD, field="dry_run")
    return value == "true"


def report_json(report: Report) -> dict[str, Any]:
    """What one run did: counts, and the name of each thing that the report names."""
    left = [decision for decision in report.decisions if decision.action is Action.LEFT]
    rest = [decision for decision in report.decisions if decision.action is not Action.LEFT]
    return {
        "dry_run": report.dry_run,
        "complete": not report.faults and not left,
        "sessions": {action: report.count("session", action) for action in Action},
        "orphans": {kind: report.count(kind, Action.DELETED) for kind in ("pod", "secret")},
        "credentials": {Action.DELETED: report.count("credentials", Action.DELETED)},
        "requests": {Action.FORGOTTEN: report.count("request", Action.FORGOTTEN)},
        "faults": report.faults,
        "left": [dataclasses.asdict(one) for one in left],
        "done": [dataclasses.asdict(one) for one in rest],
    }
