"""Our pods and Secrets in the namespace: the adapter behind ``Inventory``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import cast

from shared.core.cleanup.ports import Belonging, KeptCredentials
from shared.core.sessions.model import Session
from shared.core.sessions.names import (
    MANAGED_BY,
    MANAGED_BY_LABEL,
    OWNER_LABEL,
    SESSION_LABEL,
    credentials_name_of,
)
from shared.errors import ClusterUnavailable
from shared.kube.api.client import WATCH_STALL_SECONDS, JsonObject, KubeApi
from shared.kube.api.errors import ApiError
from shared.kube.api.objects import ObjectList, Pod
from shared.kube.api.retries import least_pause
from shared.kube.credentials.secret import last_change
from shared.kube.pods.diagnosis import diagnose
from shared.kube.pods.manifest import GRACE_SECONDS

_PAGE = 500
_SELECTOR = f"{MANAGED_BY_LABEL}={MANAGED_BY},{SESSION_LABEL}"
_CREDENTIALS = f"{MANAGED_BY_LABEL}={MANAGED_BY},{OWNER_LABEL},!{SESSION_LABEL}"
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches"""

_EXPIRED = 410
_GONE_BEFORE = (404, 409)
"""The object is not there, or another object has its name now (the precondition failed)."""


class KubernetesInventory:
    """Lists and deletes what is labelled as ours in one namespace.

    Args:
        api: The cluster.
        namespace: Where the session pods are.
    """

    def __init__(self, api: KubeApi, namespace: str) -> None:
        self._api = api
        self._namespace = namespace

    async def pods(self) -> AsyncGenerator[Belonging, None]:
        """See ``Inventory``."""
        async for pod in self._list("pods"):
            yield _belonging("pod", pod)

    async def secrets(self) -> AsyncGenerator[Belonging, None]:
        """See ``Inventory``."""
        async for secret in self._list("secrets", accept=_METADATA_ONLY):
            yield _belonging("secret", secret)

    async def credentials(self) -> AsyncGenerator[KeptCredentials, None]:
        """See ``Inventory``."""
        async for secret in self._list("secrets", _METADATA_ONLY, _CREDENTIALS):
            metadata = secret["metadata"]
            owner = metadata["labels"][OWNER_LABEL]
            if metadata["name"] == credentials_name_of(owner) and not metadata.get("deletionTimestamp"):
                yield KeptCredentials(
                    name=metadata["name"],
                    uid=metadata["uid"],
                    version=str(metadata["resourceVersion"]),
                    owner=owner,
                    changed_at=last_change(metadata.get("annotations") or {}),
                )

    async def delete_credentials(self, kept: KeptCredentials) -> bool:
        """See ``Inventory``."""
        options: JsonObject = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {"uid": kept.uid, "resourceVersion": kept.version},
        }
        try:
            await self._api.request("DELETE", f"{self._path('secrets')}/{kept.name}", body=options)
        except ApiError as error:
            if error.code not in _GONE_BEFORE or error.passes:
                raise
            return False
        return True

    async def delete(self, belonging: Belonging) -> None:
        """See ``Inventory``."""
        options: JsonObject = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {"uid": belonging.uid},
        }
        if belonging.kind == "pod":
            options["gracePeriodSeconds"] = GRACE_SECONDS
        try:
            await self._api.request(
                "DELETE", f"{self._path(belonging.kind + 's')}/{belonging.name}", body=options
            )
        except ApiError as error:
            if error.code not in _GONE_BEFORE or error.passes:
                raise

    async def gone(self, sessions: Sequence[Session], timeout_seconds: float) -> set[str]:
        """See ``Inventory``. One list and one watch serve all pods of a namespace."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_seconds
        names: dict[str, set[str]] = {}
        for session in sessions:
            names.setdefault(session.namespace, set()).add(session.pod_name)
        waits = [self._wait_gone(namespace, waited, end) for namespace, waited in names.items()]
        left: dict[str, set[str]] = {}
        # It waits for all of them, so that no task goes on when another has failed.
        answers = await asyncio.gather(*waits, return_exceptions=True)
        for namespace, answer in zip(names, answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            left[namespace] = answer
        return {session.id for session in sessions if session.pod_name not in left[session.namespace]}

    async def _wait_gone(self, namespace: str, names: set[str], end: float) -> set[str]:
        """The pods among ``names`` that are still there at ``end``, a time of the event loop."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            present, since = await self._names(namespace)
            names &= present
            left = end - loop.time()
            if not names or left <= 0:
                return names
            asked = None
            try:
                async with asyncio.timeout(min(left, WATCH_STALL_SECONDS)):
                    await self._watch_gone(namespace, since, names)
                    return names
            except TimeoutError:
                failures = 0
            except ClusterUnavailable as error:
                failures, asked = failures + 1, error.retry_after_seconds
            if loop.time() >= end:
                return names
            # The watch broke, or said nothing for a while. A new look says why.
            await asyncio.sleep(min(least_pause(max(failures, 1), asked), end - loop.time()))

    async def _watch_gone(self, namespace: str, since: str, names: set[str]) -> None:
        watch = self._api.watch(
            self._path("pods", namespace),
            params=[("labelSelector", _SELECTOR), ("resourceVersion", since)],
            timeout_seconds=WATCH_STALL_SECONDS,
        )
        async with contextlib.aclosing(watch) as events:
            async for kind, pod in events:
                if kind == "DELETED":
                    names.discard(pod["metadata"]["name"])
                if not names:
                    return
        raise ClusterUnavailable("the watch ended")

    async def _names(self, namespace: str) -> tuple[set[str], str]:
        names: set[str] = set()
        version = ""
        async for page in self._pages("pods", namespace, _METADATA_ONLY):
            names |= {item["metadata"]["name"] for item in page["items"] or ()}
            version = str(page["metadata"]["resourceVersion"])
        return names, version

    async def _list(
        self, kind: str, accept: str = "", selector: str = _SELECTOR
    ) -> AsyncGenerator[Pod, None]:
        """All objects of one kind. Only pods have a status."""
        async for page in self._pages(kind, self._namespace, accept, selector):
            for item in page["items"] or ():
                yield item

    async def _pages(
        self, kind: str, namespace: str, accept: str, selector: str = _SELECTOR
    ) -> AsyncGenerator[ObjectList[Pod], None]:
        """All pages of one list. If its continuation expires, the rest comes as it is now."""
        token = ""
        while True:
            params = [("labelSelector", selector), ("limit", str(_PAGE))]
            params += [("continue", token)] if token else []
            try:
                page = await self._api.request(
                    "GET", self._path(kind, namespace), params=params, accept=accept
                )
            except ApiError as error:
                token = error.continue_token
                if error.code != _EXPIRED or not token:
                    raise
                continue
            yield cast("ObjectList[Pod]", page)
            token = page["metadata"].get("continue") or ""
            if not token:
                return

    def _path(self, kind: str, namespace: str = "") -> str:
        return f"/api/v1/namespaces/{namespace or self._namespace}/{kind}"


def _belonging(kind: str, item: Pod) -> Belonging:
    metadata = item["metadata"]
    return Belonging(
        kind=kind,
        name=metadata["name"],
        uid=metadata["uid"],
        session_id=metadata["labels"][SESSION_LABEL],
        created_at=datetime.fromisoformat(metadata["creationTimestamp"]),
        leaving=bool(metadata.get("deletionTimestamp")),
        status=diagnose(item) if kind == "pod" else None,
    )
