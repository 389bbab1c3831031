"""Query parameters, and pages: ``page_size`` and an opaque ``page_token``."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime

from starlette.datastructures import QueryParams

from shared.core.paging import Cursor
from shared.errors import InvalidRequest
from shared.reasons import Reason

MAX_PAGE = 200
_DEFAULT_PAGE = 50
_PAGE_SIZE = re.compile(r"[0-9]{1,9}")
_MAX_SHOWN = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """Which page is asked for: at most ``size`` items that follow ``after``."""

    size: int
    after: Cursor | None


def single_values(query: QueryParams, known: Collection[str]) -> Mapping[str, str]:
    """The query's parameters. Each may be given once.

    Raises:
        InvalidRequest: A parameter is given twice, or is not among ``known``.
    """
    unknown = set(query) - set(known)
    if unknown:
        shown = [name[:_MAX_SHOWN] for name in sorted(unknown)[:10]]
        raise InvalidRequest("unknown query parameter", reason=Reason.UNKNOWN_FIELD, parameters=shown)
    for name in query:
        if len(query.getlist(name)) > 1:
            raise InvalidRequest(f"{name} is given more than once", reason=Reason.INVALID_FIELD, field=name)
    return dict(query)


def page_of(values: Mapping[str, str], is_id: Callable[[str], bool]) -> Page:
    """Reads ``page_size`` and ``page_token``.

    Args:
        values: The query's parameters.
        is_id: Whether a text could be an id of what is listed.

    Raises:
        InvalidRequest: One of the two is malformed.
    """
    token = values.get("page_token")
    return Page(page_size(values), _cursor(token, is_id) if token else None)


def page_size(values: Mapping[str, str], default: int = _DEFAULT_PAGE, most: int = MAX_PAGE) -> int:
    """Reads ``page_size``.

    Raises:
        InvalidRequest: It is not a number from 1 to ``most``.
    """
    size = values.get("page_size", str(default))
    if not (_PAGE_SIZE.fullmatch(size) and 1 <= int(size) <= most):
        raise InvalidRequest(f"page_size is not 1 to {most}", reason=Reason.INVALID_FIELD, field="page_size")
    return int(size)


def page_token(cursor: Cursor) -> str:
    """An opaque token for where a page ended."""
    at = cursor.at.astimezone(UTC).isoformat()
    return base64.urlsafe_b64encode(json.dumps([at, cursor.id]).encode()).decode()


def _cursor(token: str, is_id: Callable[[str], bool]) -> Cursor:
    fault = InvalidRequest("page_token is not one of ours", reason=Reason.INVALID_FIELD, field="page_token")
    try:
        created_at, item_id = json.loads(base64.urlsafe_b64decode(token))
        cursor = Cursor(datetime.fromisoformat(created_at), item_id)
        # A token that we never gave out (a time without a zone, an odd id) must not reach a store.
        ours = is_id(item_id) and page_token(cursor) == token
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error) as error:
        raise fault from error
    if not ours:
        raise fault
    return cursor
