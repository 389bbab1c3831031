"""Readiness: both dependencies are asked, and what fails says why."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from shared.app.readiness import readiness, status
from shared.core.clusters.model import KnownConnection
from shared.core.sessions.pod import ConnectionInfo
from shared.errors import ClusterUnavailable, ConnectionFailed, StoreUnavailable
from shared.reasons import Reason
from shared.settings import Settings
from shared.store import documents
from tests.shared.store.samples import HERE, NOON


@dataclasses.dataclass(slots=True)
class Dependency:
    """A store or a runtime that answers, or does not."""

    error: Exception | None = None
    known: KnownConnection | None = None

    async def ping(self) -> None:
        if self.error is not None:
            raise self.error

    @property
    def connections(self) -> Dependency:
        return self

    async def get(self, connection_id: str) -> KnownConnection | None:
        await self.ping()
        return self.known if connection_id == "default" else None

    async def connect(self) -> ConnectionInfo:
        await self.ping()
        return ConnectionInfo("kubeconfig", "europe")


@dataclasses.dataclass(slots=True)
class Dependencies:
    """What readiness needs of the composition root."""

    store: Dependency = dataclasses.field(default_factory=Dependency)
    runtime: Dependency = dataclasses.field(default_factory=Dependency)
    version: str = "1.2.3"
    settings: Settings = dataclasses.field(default_factory=lambda: Settings.from_env({"AUTH_MODE": "dev"}))


def app(**changes: Any) -> Any:
    return Dependencies(**changes)


async def test_ready_when_both_answer() -> None:
    report = await readiness(app())
    assert report["status"] == "ok"
    for check in report["checks"].values():
        assert check["status"] == "ok"
        assert check["latency_ms"] >= 0


@pytest.mark.parametrize(
    ("environ", "warning"),
    [
        ({"SESSION_IMAGE": "gam:7"}, "another image than SESSION_IMAGE is refused"),
        ({}, "every new session is refused"),
        ({"SESSION_IMAGE": "gam:7", "ALLOWED_IMAGES": "gam:*"}, None),
        ({"ALLOWED_IMAGES": "gam:*"}, None),
        ({"SESSION_IMAGE": "gam:7", "SESSION_STORE": "sqlite"}, None),
        ({"SESSION_STORE": "sqlite"}, None),
    ],
)
async def test_it_warns_of_images_that_are_refused_for_want_of_a_list(
    environ: dict[str, str], warning: str | None
) -> None:
    report = await readiness(app(settings=Settings.from_env({"AUTH_MODE": "dev", **environ})))
    assert report["status"] == "ok"
    if warning is None:
        assert "warnings" not in report
    else:
        (given,) = report["warnings"]
        assert given["variable"] == "ALLOWED_IMAGES"
        assert warning in given["detail"]
        assert "gam" not in given["detail"]  # anybody may ask


async def test_not_ready_when_one_does_not_answer_and_says_which_and_why() -> None:
    report = await readiness(app(store=Dependency(StoreUnavailable("no answer"))))
    assert report["status"] == "unavailable"
    assert report["checks"]["cluster"]["status"] == "ok"
    store = report["checks"]["store"]
    assert (store["status"], store["reason"], store["detail"]) == (
        "unavailable",
        "STORE_UNAVAILABLE",
        "no answer",
    )


async def test_it_says_which_cluster_was_met_last_by_those_who_may_ask_it() -> None:
    assert "identity" not in (await readiness(app()))["checks"]["cluster"]
    known = KnownConnection(id="default", cluster="europe", met=(HERE,), met_at=NOON)
    (check,) = [(await readiness(app(store=Dependency(known=known))))["checks"]["cluster"]]
    assert (check["identity"], check["met_at"]) == ("kube-system:here", "2026-03-01T12:00:00.123457Z")
    down = await readiness(app(store=Dependency(StoreUnavailable("no answer"), known)))
    assert "identity" not in down["checks"]["cluster"]


@pytest.mark.parametrize("others", [(), ("a1",), ("a1", "b2")])
async def test_it_names_the_other_installations_that_cleanup_has_met(others: tuple[str, ...]) -> None:
    known = KnownConnection(
        id="default", cluster="europe", met=(HERE,), met_at=NOON, other_installations=others
    )
    report = await readiness(app(store=Dependency(known=known)))
    assert report["status"] == "ok"  # it is no fault, but an operator must know
    assert report["checks"]["cluster"].get("other_installations", []) == list(others)
    assert ("other_installations" in report["checks"]["cluster"]) is bool(others)


async def test_not_ready_when_what_is_noted_of_the_cluster_cannot_be_read() -> None:
    """Every request that looks at the cluster fails for it, though store and cluster answer."""

    class Spoiled(Dependency):
        async def get(self, connection_id: str) -> KnownConnection | None:
            raise documents.invalid("connection")

    report = await readiness(app(store=Spoiled()))
    assert (report["status"], report["checks"]["store"]["status"]) == ("unavailable", "ok")
    check = report["checks"]["cluster"]
    assert (check["status"], check["reason"]) == ("unavailable", Reason.DOCUMENT_INVALID)
    assert check["detail"] == "A stored connection cannot be read."


async def test_a_dependency_that_takes_too_long_is_a_timeout() -> None:
    report = await readiness(app(runtime=Dependency(TimeoutError())))
    assert report["checks"]["cluster"]["reason"] == Reason.TIMEOUT


async def test_the_status_says_how_the_cluster_is_reached_or_why_not() -> None:
    report = await status(app())
    assert report == {
        "version": "1.2.3",
        "revision": None,
        "connection": {"method": "kubeconfig", "cluster": "europe"},
        "store": "firestore",
        "namespace": "gamgui",
        "auth_mode": "dev",
    }
    failed = await status(app(runtime=Dependency(ConnectionFailed("tried everything"))))
    assert failed["connection"] == {
        "method": None,
        "reason": "CLUSTER_CONNECTION_FAILED",
        "detail": "tried everything",
    }
    refused = await status(app(runtime=Dependency(ClusterUnavailable("no"))))
    assert refused["connection"]["reason"] == Reason.CLUSTER_UNAVAILABLE
    late = await status(app(runtime=Dependency(TimeoutError())))
    assert late["connection"]["reason"] == Reason.TIMEOUT
