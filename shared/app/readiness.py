"""Whether the services that an instance depends on answer, how fast, and if they do not, why."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, TypeAlias

from shared.core.clusters.model import DEFAULT
from shared.errors import GamguiError, InternalError
from shared.reasons import Reason
from shared.settings import Settings
from shared.web.http import logs
from shared.web.http.encoding import rfc3339

if TYPE_CHECKING:
    from shared.app.composition import App

Report: TypeAlias = dict[str, Any]

_CHECK_SECONDS = 8.0


async def readiness(app: App) -> Report:
    """Asks the store and the cluster at the same time.

    Returns:
        ``status`` (``ok`` or ``unavailable``), and ``checks``. It has for each service ``status`` and
        ``latency_ms``, and for a failing one also ``reason`` and ``detail``. For the cluster it also has
        ``identity``, which names the cluster that was met last, and ``met_at``, and
        ``other_installations`` when cleanup has met others in the namespace. ``warnings`` is there only if
        the settings refuse something that the operator may not expect; it names no value.
    """
    store, cluster, known = await asyncio.gather(
        _check(_ping_store(app)), _check(_ping_cluster(app)), _known(app)
    )
    if known:
        cluster |= known
    healthy = store["status"] == cluster["status"] == "ok"
    if not healthy:
        logs.failed(store.get("reason") or cluster["reason"])
    report: Report = {
        "status": "ok" if healthy else "unavailable",
        "checks": {"store": store, "cluster": cluster},
    }
    if warnings := _warnings(app.settings):
        report["warnings"] = warnings
    return report


def _warnings(settings: Settings) -> list[Report]:
    if settings.store.kind == "sqlite" or settings.images.allowed:
        return []
    detail = "ALLOWED_IMAGES is not set: a session that asks for another image than SESSION_IMAGE is refused"
    if not settings.images.default:
        detail = "neither ALLOWED_IMAGES nor SESSION_IMAGE is set: every new session is refused"
    return [{"variable": "ALLOWED_IMAGES", "detail": detail}]


async def status(app: App) -> Report:
    """Version, store, namespace, and how this instance connects to the cluster."""
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            info = await app.runtime.connect()
        connection: Report = {"method": info.method, "cluster": info.cluster}
    except GamguiError as error:
        connection = {"method": None, "reason": error.reason, "detail": error.detail}
    except TimeoutError:
        connection = {"method": None, "reason": Reason.TIMEOUT, "detail": "no connection in time"}
    return {
        "version": app.version,
        "revision": app.settings.platform.k_revision or None,
        "connection": connection,
        "store": app.settings.store.kind,
        "namespace": app.settings.pods.namespace,
        "auth_mode": app.settings.identity.auth_mode,
    }


async def _known(app: App) -> Report:
    """The cluster that was met last, from the store: this function has no right to ask the cluster.

    What was noted and cannot be read is a fault: no request that looks at the cluster succeeds then.
    """
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            connection = await app.store.connections.get(DEFAULT)
    except InternalError as error:
        return {"status": "unavailable", "reason": error.reason, "detail": error.detail}
    except (GamguiError, TimeoutError):
        return {}  # the store's own check says why
    if connection is None or not connection.met:
        return {}
    known: Report = {"identity": connection.met[0].text, "met_at": rfc3339(connection.met_at)}
    if connection.other_installations:
        known["other_installations"] = list(connection.other_installations)
    return known


async def _ping_store(app: App) -> None:
    await app.store.ping()


async def _ping_cluster(app: App) -> None:
    await app.runtime.ping()


async def _check(ping: Awaitable[None]) -> Report:
    started = time.monotonic()
    fault: Report = {}
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await ping
    except GamguiError as error:
        fault = {"reason": error.reason, "detail": error.detail}
    except TimeoutError:
        fault = {"reason": Reason.TIMEOUT, "detail": f"no answer within {_CHECK_SECONDS:g} s"}
    latency = round((time.monotonic() - started) * 1000, 1)
    return {"status": "unavailable" if fault else "ok", "latency_ms": latency, **fault}
