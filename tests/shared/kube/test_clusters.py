"""Which cluster is behind a connection: what is asked, how often, and what is noted for others."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from shared.core.clusters.model import ClusterIdentity, Sight
from shared.errors import ClusterUnavailable, ConnectionFailed, GamguiError, StoreUnavailable
from shared.kube.api.client import KubeApi
from shared.kube.api.connection import Connection
from shared.kube.clusters import KubernetesCluster
from tests.shared.store.samples import SetClock
from tests.support.exec_server import NoCredentials
from tests.support.stores import SqliteStore
from tests.support.web_server import WebServer


@dataclasses.dataclass
class Behind:
    """An API server with namespaces, and a connection to it that can be made anew.

    Attributes:
        uids: Of the namespaces; a number is the status of a refusal.
        asked: Which were asked for.
    """

    uids: dict[str, Any]
    server: WebServer = dataclasses.field(default_factory=WebServer)
    asked: list[str] = dataclasses.field(default_factory=list)
    current: Connection | None = None
    before_answer: Callable[[], None] = lambda: None

    async def connection(self) -> Connection:
        if self.current is None:
            self.current = Connection(
                method="kubeconfig",
                cluster="europe",
                server=f"http://{self.server.address}",
                credentials=NoCredentials(),
            )
        return self.current

    def invalidate(self, connection: Connection) -> None:
        self.current = None

    async def answer(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.asked.append(name)
        self.before_answer()
        uid = self.uids[name]
        if isinstance(uid, int):
            return web.json_response({"kind": "Status", "code": uid, "reason": "No"}, status=uid)
        return web.json_response({"kind": "Namespace", "metadata": {"name": name, "uid": uid}})


@dataclasses.dataclass
class World:
    behind: Behind
    store: SqliteStore
    clock: SetClock
    api: KubeApi

    def instance(self) -> KubernetesCluster:
        return KubernetesCluster("default", self.api, "gamgui", self.store.connections, self.clock)

    async def sight(self, recorded: str) -> Sight:
        """As an instance sees it that has just begun."""
        return (await self.instance().look(recorded)).sight


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    clock = SetClock()
    behind = Behind({"kube-system": "V", "gamgui": "U"})
    behind.server.app.router.add_get("/api/v1/namespaces/{name}", behind.answer)
    store = SqliteStore(tmp_path / "sessions.db", clock=clock)
    async with behind.server:
        api = KubeApi(behind)
        yield World(behind, store, clock, api)
        await api.close()
    await store.close()


async def test_it_is_asked_once_per_connection_however_many_want_to_know(world: World) -> None:
    cluster = world.instance()
    looks = await asyncio.gather(*(cluster.look("kube-system:V") for _ in range(20)))
    assert {look.sight for look in looks} == {Sight.HERE}
    assert {look.identity for look in looks} == {"kube-system:V"}
    assert sorted(world.behind.asked) == ["gamgui", "kube-system"]
    world.behind.current = None
    again = await cluster.look("kube-system:V")
    assert again.connection is not looks[0].connection
    assert len(world.behind.asked) == 4


async def test_another_cluster_behind_a_new_connection_is_another_one(world: World) -> None:
    cluster = world.instance()
    await cluster.look("")
    world.behind.uids, world.behind.current = {"kube-system": "W", "gamgui": "X"}, None
    assert (await cluster.look("kube-system:V")).sight is Sight.ELSEWHERE
    assert (await cluster.look("kube-system:W")).sight is Sight.HERE


@pytest.mark.parametrize("code", [403, 404])
async def test_where_kube_system_may_not_be_read_the_namespace_stands_for_it(world: World, code: int) -> None:
    world.behind.uids["kube-system"] = code
    look = await world.instance().look("namespace:U")
    assert (look.identity, look.sight) == ("namespace:U", Sight.HERE)
    assert await world.sight("namespace:X") is Sight.ELSEWHERE


async def test_where_neither_may_be_read_nothing_is_known_until_somebody_allows_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.behind.uids = {"kube-system": 403, "gamgui": 403}
    cluster = world.instance()
    for recorded in ("kube-system:V", "namespace:U", "", "kube-system:W"):
        look = await cluster.look(recorded)
        assert (look.identity, look.sight) == ("", Sight.UNKNOWN)
    assert len(world.behind.asked) == 2
    assert await world.store.connections.get("default") is None
    world.behind.uids = {"kube-system": "V", "gamgui": 403}
    monkeypatch.setattr("shared.kube.clusters._ASKED_AGAIN_SECONDS", 0.0)
    assert (await cluster.look("kube-system:V")).sight is Sight.HERE


async def test_rights_may_change_without_making_sessions_foreign(world: World) -> None:
    recorded = []
    for uids in (
        {"kube-system": 403, "gamgui": "U"},
        {"kube-system": "V", "gamgui": "U"},
        {"kube-system": "V", "gamgui": 403},
        {"kube-system": 403, "gamgui": "U"},
    ):
        world.behind.uids, world.behind.current = uids, None
        cluster = world.instance()
        recorded.append((await cluster.look("")).identity)
        assert {(await cluster.look(one)).sight for one in recorded} == {Sight.HERE}
    assert recorded == ["namespace:U", "kube-system:V", "kube-system:V", "namespace:U"]


async def test_what_is_met_is_noted_for_those_who_have_no_rights_in_the_cluster(world: World) -> None:
    await world.sight("")
    known = await world.store.connections.get("default")
    assert known is not None
    assert known.met == (ClusterIdentity(kube_system="V", namespace="U"),)
    assert (known.cluster, known.met_at) == ("europe", world.clock.now())
    world.clock.pass_seconds(3600)
    await world.sight("")
    assert await world.store.connections.get("default") == known  # not every time
    world.clock.pass_seconds(86400)
    await asyncio.gather(*(world.sight("") for _ in range(5)))  # somebody notes it, and nobody fails
    again = await world.store.connections.get("default")
    assert again is not None
    assert (again.met, again.met_at) == (known.met, world.clock.now())


@pytest.mark.parametrize("uid", ["", None, 7.5, "a b", "x" * 65, "a\nb", {}, []])
async def test_what_is_no_uid_is_no_answer(world: World, uid: object) -> None:
    world.behind.uids["kube-system"] = uid
    with pytest.raises(ClusterUnavailable):
        await world.instance().look("kube-system:V")


@pytest.mark.parametrize("code", [400, 401, 500])
async def test_a_cluster_that_does_not_answer_is_no_other_one(world: World, code: int) -> None:
    world.behind.uids["kube-system"] = code
    cluster = world.instance()
    with pytest.raises(ClusterUnavailable):
        await cluster.look("kube-system:W")
    world.behind.uids["kube-system"] = "V"
    assert (await cluster.look("kube-system:V")).sight is Sight.HERE


async def test_a_cluster_that_is_exchanged_while_it_is_asked_is_not_known(world: World) -> None:
    def exchange() -> None:
        world.behind.current = None

    world.behind.before_answer = exchange
    with pytest.raises(ClusterUnavailable):
        await world.instance().look("kube-system:V")


async def test_without_a_connection_or_the_store_nothing_is_known(world: World) -> None:
    await world.store.close()
    with pytest.raises(StoreUnavailable):
        await world.instance().look("kube-system:V")

    async def none() -> Connection:
        raise ConnectionFailed("no source")

    world.behind.connection = none  # type: ignore[method-assign] # takes the method's place
    with pytest.raises(GamguiError):
        await world.instance().look("kube-system:V")


async def test_who_closes_it_while_it_is_asked_leaves_nothing_behind(world: World) -> None:
    cluster = world.instance()
    asking = asyncio.create_task(cluster.look(""))
    await asyncio.sleep(0)
    asking.cancel()
    await cluster.close()
    left = [task for task in asyncio.all_tasks() if "KubernetesCluster" in repr(task.get_coro())]
    assert [task for task in left if task is not asking] == []
    assert world.behind.asked == []


async def test_who_closes_it_leaves_no_question_over_an_earlier_connection_behind(world: World) -> None:
    cluster = world.instance()
    asking: list[asyncio.Task[Any]] = []
    for _ in range(2):
        world.behind.current = None
        asking.append(asyncio.create_task(cluster.look("")))
        await asyncio.sleep(0)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    await cluster.close()
    assert [task for task in asyncio.all_tasks() if "KubernetesCluster" in repr(task.get_coro())] == []


async def test_who_asked_first_may_go_away(world: World) -> None:
    cluster = world.instance()
    first = asyncio.create_task(cluster.look(""))
    second = asyncio.create_task(cluster.look(""))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).identity == "kube-system:V"
    with pytest.raises(asyncio.CancelledError):
        await first
