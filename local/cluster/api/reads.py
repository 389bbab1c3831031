"""Serves get, list and watch."""

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from ..objects import Object
from ..objects.errors import Cause, bad_request, expired, invalid_options, not_found
from ..objects.resources import EVENTS
from ..objects.selectors import Matcher, matcher
from ..store import Change, HistoryLostError, Store
from .requests import Target, flag, number

_BOOKMARK_S = 60.0
_WATCH_S = 1800
_NOT_OLDER = "NotOlderThan"
_LOST_EVENTS = "The resourceVersion for the provided watch is too old."
_LOST_PAGE = (
    "The provided continue parameter is too old to display a consistent list result. "
    "You can start a new list without the continue parameter, or use the continue token in this response to "
    "retrieve the remainder of the results. Continuing with the provided token results in an inconsistent "
    "list - objects that were created, modified, or deleted between the time the first chunk was returned "
    "and now may show up in the list."
)


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list."""

    items: list[Object]
    revision: int
    token: str
    remaining: int


def read(store: Store, target: Target) -> Object:
    """Return the object that a ``get`` names.

    Raises:
        ApiError: 404 if there is no such object.
    """
    found = store.get(target.resource, target.namespace, target.name)
    if found is None:
        raise not_found(target.resource, target.name)
    return found


def read_list(store: Store, target: Target) -> Page:
    """Return the objects that a ``list`` selects.

    Raises:
        ApiError: 400 for selectors or tokens that do not parse, 410 for a token that is too old, 422 for
            parameters that cannot be combined.
    """
    _check_list(target)
    selected = _selector(target)
    limit = number(target.query, "limit")
    start, revision = _continued(store, target.query.get("continue", ""))
    found = [
        item
        for item in store.items(target.resource, target.namespace)
        if selected(item) and _key(item) >= start
    ]
    if not limit or len(found) <= limit:
        return Page(found, revision, "", 0)
    token = _page_token(revision, f"{_key(found[limit - 1])}\0")
    return Page(found[:limit], revision, token, len(found) - limit)


def _page_token(revision: int, start: str) -> str:
    token = {"v": "meta.k8s.io/v1", "rv": revision, "start": start}
    return base64.urlsafe_b64encode(json.dumps(token).encode()).decode().rstrip("=")


def _selector(target: Target) -> Matcher:
    query = target.query
    fields = query.get("fieldSelector", "")
    if target.name:
        # A watch on one object's own path is a watch on its name.
        fields = ",".join(part for part in (fields, f"metadata.name={target.name}") if part)
    return matcher(query.get("labelSelector", ""), fields, target.resource.kind)


def _key(item: Object) -> str:
    return f"{item['metadata'].get('namespace', '')}/{item['metadata']['name']}"


def _continued(store: Store, token: str) -> tuple[str, int]:
    if not token:
        return "", store.revision
    try:
        decoded = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        start, revision = str(decoded["start"]), int(decoded["rv"])
    except (ValueError, binascii.Error, KeyError, TypeError):
        raise bad_request("continue key is not valid") from None
    if 0 < revision < store.oldest:
        raise expired(_LOST_PAGE, {"continue": _page_token(-1, start)})
    # A token without a revision continues a list that is known to be inconsistent.
    return start, revision if revision > 0 else store.revision


def watch(store: Store, target: Target) -> AsyncIterator[Object]:
    """Return the events of a watch until its time is over.

    Args:
        target: The collection, or one object by name. Its query says from which revision to watch, for how
            long, and whether bookmarks are wanted.

    Raises:
        ApiError: 400 for parameters that do not parse, 422 for those that cannot be combined.
    """
    _check_watch(target)
    selected = _selector(target)
    since = number(target.query, "resourceVersion")
    # kubectl from 1.35 on asks for this instead of a list: every object as ADDED, then a bookmark that says
    # so.
    if flag(target.query, "sendInitialEvents"):
        since = None
    elif target.query.get("sendInitialEvents"):
        since = since or store.revision  # only later events, and none for the present objects
    seconds = number(target.query, "timeoutSeconds")
    return _watch(store, target, selected, since, seconds or _WATCH_S)


def _check_list(target: Target) -> None:
    """Refuse parameters that a list cannot have (apimachinery, internalversion/validation)."""
    match, since = target.query.get("resourceVersionMatch", ""), target.query.get("resourceVersion", "")
    causes = []
    if match and not since:
        causes.append(_forbidden("resourceVersionMatch", "is forbidden unless resourceVersion is provided"))
    if match and target.query.get("continue"):
        causes.append(_forbidden("resourceVersionMatch", "is forbidden when continue is provided"))
    if match not in ("", "Exact", _NOT_OLDER):
        causes.append(_unsupported(match, "Exact", _NOT_OLDER, ""))
    if match == "Exact" and since == "0":
        causes.append(_forbidden("resourceVersionMatch", '"exact" is forbidden for resourceVersion "0"'))
    if target.query.get("sendInitialEvents"):
        causes.append(_forbidden("sendInitialEvents", "is forbidden for list"))
    if causes:
        raise invalid_options(causes)


def _check_watch(target: Target) -> None:
    match, initial = target.query.get("resourceVersionMatch", ""), target.query.get("sendInitialEvents")
    causes = []
    if initial and match != _NOT_OLDER:
        why = f"sendInitialEvents requires setting resourceVersionMatch to {_NOT_OLDER}"
        causes.append(Cause("resourceVersionMatch", "FieldValueForbidden", f"Forbidden: {why}"))
    if match and not initial:
        why = "is forbidden for watch unless sendInitialEvents is provided"
        causes.append(_forbidden("resourceVersionMatch", why))
    if match not in ("", _NOT_OLDER):
        causes.append(_unsupported(match, _NOT_OLDER))
    if match and target.query.get("continue"):
        causes.append(_forbidden("resourceVersionMatch", "is forbidden when continue is provided"))
    if causes:
        raise invalid_options(causes)


def _forbidden(field: str, why: str) -> Cause:
    return Cause(field, "FieldValueForbidden", f"Forbidden: {field} {why}")


def _unsupported(match: str, *supported: str) -> Cause:
    listed = ", ".join(f'"{value}"' for value in supported)
    why = f'Unsupported value: "{match}": supported values: {listed}'
    return Cause("resourceVersionMatch", "FieldValueNotSupported", why)


async def _watch(
    store: Store, target: Target, selected: Matcher, since: int | None, seconds: int
) -> AsyncIterator[Object]:
    deadline = asyncio.get_running_loop().time() + seconds
    bookmarks = flag(target.query, "allowWatchBookmarks")
    with store.subscribe() as queue:
        reached = store.revision
        try:
            backlog = _backlog(store, target, selected, since)
        except HistoryLostError as lost:
            cached = f"too old resource version: {since} ({lost.oldest})"
            # Events are read from the database and not from the watch cache, which has other words.
            message = _LOST_EVENTS if target.resource is EVENTS else cached
            yield {"type": "ERROR", "object": expired(message).status()}
            return
        for event in backlog:
            yield event
        if bookmarks and flag(target.query, "sendInitialEvents"):
            yield _bookmark(target, reached, {"k8s.io/initial-events-end": "true"})
        async for change in _changes(queue, deadline):
            reached = change.revision if change is not None else reached
            event_or_none = _event(change, target, selected) if change is not None else None
            if event_or_none is not None:
                yield event_or_none
            elif change is None and bookmarks and target.resource is not EVENTS:
                # Bookmarks come from the watch cache, which a real API server does not keep of events.
                yield _bookmark(target, reached)


def _backlog(store: Store, target: Target, selected: Matcher, since: int | None) -> list[Object]:
    """Return the events that come before the live events."""
    if not since:
        items = store.items(target.resource, target.namespace)
        return [{"type": "ADDED", "object": _typed(target, item)} for item in items if selected(item)]
    events = (_event(change, target, selected) for change in store.since(since))
    return [event for event in events if event is not None]


async def _changes(queue: "asyncio.Queue[Change]", deadline: float) -> AsyncIterator[Change | None]:
    """Yield changes until the deadline, and None whenever it is time for a bookmark."""
    loop = asyncio.get_running_loop()
    while (left := deadline - loop.time()) > 0:
        try:
            # wait_for may lose a cancellation that comes together with a change.
            async with asyncio.timeout(min(left, _BOOKMARK_S)):
                change: Change | None = await queue.get()
        except TimeoutError:
            change = None
        yield change


def _event(change: Change, target: Target, selected: Matcher) -> Object | None:
    """Return a change as this watch sees it: an object may enter, leave, or never be in its selection."""
    if change.resource is not target.resource:
        return None
    if target.namespace and change.object["metadata"].get("namespace") != target.namespace:
        return None
    visible = change.type != "DELETED" and selected(change.object)
    was_visible = change.before is not None and selected(change.before)
    if not visible and not was_visible:
        return None
    kind = "MODIFIED" if visible and was_visible else "ADDED" if visible else "DELETED"
    return {"type": kind, "object": _typed(target, change.object)}


def _bookmark(target: Target, revision: int, annotations: dict[str, str] | None = None) -> Object:
    metadata: Object = {"resourceVersion": str(revision)}
    if annotations:
        metadata["annotations"] = annotations
    return {"type": "BOOKMARK", "object": _typed(target, {"metadata": metadata})}


def _typed(target: Target, item: Object) -> Object:
    return {"kind": target.resource.kind, "apiVersion": target.resource.api_version, **item}


def list_object(target: Target, page: Page) -> Object:
    """Return a page as the list object of its kind. Items have no ``kind``, as in the recordings."""
    metadata: dict[str, Any] = {"resourceVersion": str(page.revision)}
    if page.token:
        metadata |= {"continue": page.token, "remainingItemCount": page.remaining}
    untyped = [
        {key: value for key, value in item.items() if key not in ("kind", "apiVersion")}
        for item in page.items
    ]
    kind, version = f"{target.resource.kind}List", target.resource.api_version
    return {"kind": kind, "apiVersion": version, "metadata": metadata, "items": untyped}
