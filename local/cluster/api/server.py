"""Handles requests: finds out who calls and what is asked, checks the caller's rights, and does it."""

import logging
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from ..kubelet.kubelet import Kubelet
from ..objects import Object
from ..objects.errors import ApiError, internal, method_not_allowed, unauthorized, unsupported_media_type
from ..objects.tables import table, wants_table
from ..store import Store
from . import discovery
from .access import ADMIN, Attributes, Authenticator, Authorizer, Observer, User
from .deletion import delete, delete_collection
from .podstreams import exec_in_pod, pod_log
from .reads import list_object, read, read_list, watch
from .refusals import PATH as REFUSALS_PATH
from .refusals import Refusals
from .requests import MAX_BODY, Target, decode, needed_verbs, parse_target, read_body, read_object
from .responses import error_response, object_response, stream_events
from .reviews import review
from .writes import PATCH_TYPES, create, patch, update

_log = logging.getLogger(__name__)

_OF_COLLECTIONS = ("create", "list", "deletecollection")


class Api:
    """The API on top of a store and a kubelet.

    Args:
        store: Holds the objects.
        kubelet: The node, for exec and logs.
        authenticator: Recognizes the callers.
        observer: Called for every request for objects.
    """

    def __init__(
        self, store: Store, kubelet: Kubelet, authenticator: Authenticator, observer: Observer | None = None
    ) -> None:
        self._store = store
        self._kubelet = kubelet
        self._authenticator = authenticator
        self._authorizer = Authorizer(store, observer)
        self._refusals = Refusals()
        self._verbs: Mapping[str, Callable[[web.Request, Target, User], Awaitable[web.StreamResponse]]] = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete,
        }

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application(client_max_size=MAX_BODY)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except ApiError as error:
            return error_response(error)
        except (web.HTTPException, ConnectionError):
            raise
        except Exception:  # noqa: BLE001 - the client gets a Status, and the log gets the details
            _log.exception("%s %s failed", request.method, request.path)
            return error_response(internal("the local cluster failed; see its log"))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path
        segments = path.strip("/").split("/")
        user = self._authenticator.user(request.headers.get("Authorization", ""))
        if user is None and segments[0] not in discovery.PUBLIC_PATHS:
            raise unauthorized()
        is_object = (segments[0] == "api" and len(segments) > 2) or (
            segments[0] == "apis" and len(segments) > 3
        )
        if user is ADMIN and path.strip("/") == REFUSALS_PATH:
            return await self._told(request)
        if user is None or not is_object:
            return discovery.answer(request, path.strip("/"))
        target = parse_target(request.method, path, request.query)
        if target.resource.stored:
            for verb in needed_verbs(target):
                attributes = Attributes(
                    verb,
                    target.resource.group,
                    target.resource.plural,
                    target.subresource,
                    target.scope,
                    target.name,
                )
                self._authorizer.check(user, target.resource, attributes)
        refusal = self._refusals.next(request.method, path)
        if refusal is None:
            return await self._serve(request, target, user)
        if refusal.done:
            await self._serve(request, target, user)
        return refusal.response(request)

    async def _told(self, request: web.Request) -> web.Response:
        if request.method == "PUT":
            return self._refusals.tell(decode(await read_body(request)))
        return self._refusals.left()

    async def _serve(self, request: web.Request, target: Target, user: User) -> web.StreamResponse:
        if target.subresource == "exec":
            return await exec_in_pod(request, self._store, self._kubelet, target)
        if target.subresource == "log":
            return await pod_log(request, self._store, self._kubelet, target)
        serve = self._verbs.get(target.verb)
        misplaced = (
            target.name if target.verb in _OF_COLLECTIONS else not target.name and target.verb != "watch"
        )
        if serve is None or target.verb not in target.resource.verbs or misplaced:
            raise method_not_allowed()
        return await serve(request, target, user)

    async def _get(self, request: web.Request, target: Target, _: User) -> web.StreamResponse:
        return self._shown(request, target, read(self._store, target))

    async def _list(self, request: web.Request, target: Target, _: User) -> web.StreamResponse:
        return self._shown(request, target, list_object(target, read_list(self._store, target)))

    async def _update(self, request: web.Request, target: Target, _: User) -> web.StreamResponse:
        body = await read_object(request, target.resource)
        return self._shown(request, target, update(self._store, target, body))

    def _shown(self, request: web.Request, target: Target, body: Object, status: int = 200) -> web.Response:
        if wants_table(request.headers.get("Accept", "")):
            items = (
                body["items"] if "items" in body and body["kind"] == f"{target.resource.kind}List" else [body]
            )
            body = table(target.resource, items, body["metadata"])
        return object_response(body, status)

    async def _watch(self, request: web.Request, target: Target, _: User) -> web.StreamResponse:
        events = watch(self._store, target)
        if wants_table(request.headers.get("Accept", "")):
            shown = (
                {**event, "object": table(target.resource, [event["object"]], event["object"]["metadata"])}
                if event["type"] not in ("ERROR", "BOOKMARK")
                else event
                async for event in events
            )
            return await stream_events(request, shown)
        return await stream_events(request, events)

    async def _create(self, request: web.Request, target: Target, user: User) -> web.StreamResponse:
        body = await read_object(request, target.resource)
        if not target.resource.stored:
            return object_response(review(self._authorizer, user, target.resource, body), 201)
        return self._shown(request, target, create(self._store, target, body), 201)

    async def _patch(self, request: web.Request, target: Target, _: User) -> web.StreamResponse:
        content_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if content_type not in PATCH_TYPES:
            raise unsupported_media_type(PATCH_TYPES)
        body = decode(await read_body(request), content_type)
        patched, created = patch(self._store, target, content_type, body)
        return self._shown(request, target, patched, 201 if created else 200)

    async def _delete(self, request: web.Request, target: Target, _: User) -> web.StreamResponse:
        body = await read_body(request)
        options = decode(body, request.content_type) if body else {}
        options = options if isinstance(options, dict) else {}
        if target.verb == "deletecollection":
            return object_response(delete_collection(self._store, target, options))
        answer, status = delete(self._store, target, options)
        return object_response(answer, status)
