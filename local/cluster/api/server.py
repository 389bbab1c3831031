"""Handles requests: finds out who calls and what is asked, checks the caller's rights, and does it."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from aiohttp import web

from ..kubelet.kubelet import Kubelet
from ..objects import Object
from ..objects.errors import ApiError, internal, method_not_allowed, unauthorized
from ..objects.resources import SCALES, TOKEN_REQUESTS
from ..objects.tables import table, wants_table
from ..store import Store
from . import discovery
from .access import ADMIN, Attributes, Authenticator, Authorizer, Observer, User
from .deletion import delete, delete_collection, finalize_namespace
from .grants import Grants
from .podstreams import exec_in_pod, pod_log
from .reads import list_object, read, read_list, watch
from .refusals import PATH as REFUSALS_PATH
from .refusals import Refusals
from .requests import (
    MAX_BODY,
    Target,
    decode,
    needed_verbs,
    parse_target,
    read_body,
    read_object,
    read_patch,
)
from .responses import error_response, object_response, quoted, stream_events
from .reviews import review
from .scales import patch_scale, read_scale, update_scale
from .tokens import AccountTokens
from .writes import create, patch, update

_log = logging.getLogger(__name__)

_WARNINGS = web.RequestKey("warnings", list[str])
_OF_COLLECTIONS = ("create", "list", "deletecollection")


class Api:
    """The API on top of a store and a kubelet.

    Args:
        store: Holds the objects.
        kubelet: The node, for exec and logs.
        users: The callers by their tokens, besides service accounts.
        tokens: The tokens of service accounts.
        observer: Called for every request for objects.
        incomplete_rules: Whether reviews of rules say that there may be more.
    """

    def __init__(
        self,
        store: Store,
        kubelet: Kubelet,
        users: Mapping[str, User],
        tokens: AccountTokens,
        *,
        observer: Observer | None = None,
        incomplete_rules: bool = False,
    ) -> None:
        self._store = store
        self._kubelet = kubelet
        self._tokens = tokens
        self._authenticator = Authenticator(users, tokens.user)
        self._authorizer = Authorizer(store, observer)
        self._grants = Grants(store, self._authorizer)
        self._incomplete_rules = incomplete_rules
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
        self._subresources = {
            ("token", "create"): self._issue_token,
            ("scale", "get"): self._get_scale,
            ("scale", "update"): self._update_scale,
            ("scale", "patch"): self._patch_scale,
            ("finalize", "update"): self._finalize,
        }

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application(client_max_size=MAX_BODY)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        response = await self._caught(request)
        if not response.prepared:
            for warning in request.get(_WARNINGS, []):
                response.headers.add("Warning", f"299 - {quoted(warning)}")
        return response

    async def _caught(self, request: web.Request) -> web.StreamResponse:
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
        request[_WARNINGS] = target.warnings
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
        if target.subresource not in ("", "status"):
            special = self._subresources.get((target.subresource, target.verb))
            if special is None or not target.name:
                raise method_not_allowed()
            return await special(request, target)
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

    async def _update(self, request: web.Request, target: Target, user: User) -> web.StreamResponse:
        body = await read_object(request, target.resource)
        check = partial(self._grants.check, user, target)
        return self._shown(request, target, update(self._store, target, body, check))

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
            incomplete = self._incomplete_rules
            answer = review(self._authorizer, user, target.resource, body, incomplete=incomplete)
            return object_response(answer, 201)
        check = partial(self._grants.check, user, target)
        return self._shown(request, target, create(self._store, target, body, check), 201)

    async def _patch(self, request: web.Request, target: Target, user: User) -> web.StreamResponse:
        content_type, body = await read_patch(request)
        check = partial(self._grants.check, user, target)
        changed, created = patch(self._store, target, content_type, body, check)
        return self._shown(request, target, changed, 201 if created else 200)

    async def _issue_token(self, request: web.Request, target: Target) -> web.StreamResponse:
        body = await read_object(request, TOKEN_REQUESTS)
        return object_response(self._tokens.issue(target, body), 201)

    async def _get_scale(self, _: web.Request, target: Target) -> web.StreamResponse:
        return object_response(read_scale(self._store, target))

    async def _update_scale(self, request: web.Request, target: Target) -> web.StreamResponse:
        return object_response(update_scale(self._store, target, await read_object(request, SCALES)))

    async def _patch_scale(self, request: web.Request, target: Target) -> web.StreamResponse:
        content_type, body = await read_patch(request)
        return object_response(patch_scale(self._store, target, content_type, body))

    async def _finalize(self, request: web.Request, target: Target) -> web.StreamResponse:
        body = await read_object(request, target.resource)
        return object_response(finalize_namespace(self._store, target, body))

    async def _delete(self, request: web.Request, target: Target, _: User) -> web.StreamResponse:
        body = await read_body(request)
        options = decode(body, request.content_type) if body else {}
        options = options if isinstance(options, dict) else {}
        if target.verb == "deletecollection":
            return object_response(delete_collection(self._store, target, options))
        answer, status = delete(self._store, target, options)
        return object_response(answer, status)
