"""Secrets of earlier releases are taken over: every interleaving of two acts, and every crash in one."""

from __future__ import annotations

import base64
import contextlib
import copy
import dataclasses
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from typing import Any, cast

import pytest

from shared.core.changes import changed
from shared.core.credentials.model import CredentialFile, Credentials
from shared.core.credentials.new_session import NewSessionCredentials
from shared.core.sessions.names import INSTALLATION_LABEL, credentials_name
from shared.errors import ClusterUnavailable, Conflict
from shared.kube.api.client import JsonObject, KubeApi
from shared.kube.api.errors import ApiError
from shared.kube.credentials.secret import KubernetesSecrets
from shared.kube.pods.manifest import pod_manifest
from tests.shared.kube.api.test_client import closing
from tests.shared.kube.pods.test_manifest import OPTIONS
from tests.shared.store.samples import a_session
from tests.support.exec_server import api_at
from tests.support.kube_server import Answer, KubeServer, failure
from tests.support.people import person

ANN = person("ann@example.com")
OLD, OWN, OTHERS = (credentials_name(ANN.email, one) for one in ("", "a1", "b2"))
KEPT, PUT, PUT_TOO = "oauth2.txt", "oauth2service.json", "client_secrets.json"


class Turn:
    """What a request waits for: the test decides who goes on."""

    def __await__(self) -> Generator[None, None, None]:
        yield


@dataclasses.dataclass
class Id:
    """An installation with this id."""

    name: str

    async def id(self) -> str:
        return self.name


class Api:
    """The Secrets of a namespace, with versions and preconditions as the API server has them."""

    def __init__(self) -> None:
        self.versions = itertools.count(1)
        self.answered = 0
        self.lost = 0  # the number of the request whose answer is lost
        self.secrets: dict[str, JsonObject] = {}

    def has(self, name: str, *files: str) -> None:
        data = {file: base64.b64encode(b"{}").decode() for file in files}
        self._keep(name, {"metadata": {"name": name}, "data": data})

    def files(self, name: str) -> set[str]:
        return set(self.secrets.get(name, {"data": {}})["data"])

    async def request(
        self, method: str, path: str, *, body: Any = None, idempotent: bool, **_: object
    ) -> JsonObject:
        await Turn()
        self.answered += 1
        if self.answered == self.lost:
            with contextlib.suppress(ApiError):
                self._answer(method, path, body)
            if not idempotent:
                raise ClusterUnavailable("the answer is lost")
        return self._answer(method, path, body)

    def _answer(self, method: str, path: str, body: Any) -> JsonObject:
        name = path.partition("/secrets/")[2] or body["metadata"]["name"]
        found = self.secrets.get(name)
        if method == "POST":
            if found:
                raise refused(409, "AlreadyExists")
            return self._keep(name, body)
        if found is None:
            raise refused(404, "NotFound")
        if method == "GET":
            return copy.deepcopy(found)
        wanted = body["metadata"] if method == "PUT" else body.get("preconditions", {})
        if wanted.get("resourceVersion", found["metadata"]["resourceVersion"]) != _version(found):
            raise refused(409, "Conflict")
        if method == "PUT":
            return self._keep(name, body)
        del self.secrets[name]
        return {"kind": "Status", "status": "Success"}

    def _keep(self, name: str, body: JsonObject) -> JsonObject:
        kept = copy.deepcopy(body)
        kept["metadata"]["resourceVersion"] = str(next(self.versions))
        self.secrets[name] = kept
        return copy.deepcopy(kept)


def _version(secret: JsonObject) -> str:
    return str(secret["metadata"]["resourceVersion"])


def refused(code: int, reason: str) -> ApiError:
    return ApiError.from_answer(code, {"kind": "Status", "reason": reason, "message": reason}, {})


def store(api: Api, installation: str = "a1") -> KubernetesSecrets:
    return KubernetesSecrets(cast("KubeApi", api), "gamgui", Id(installation) if installation else None)


Act = Callable[[KubernetesSecrets], Coroutine[Any, Any, Any]]


def put(name: str) -> Act:
    """Puts a file, as the use case does."""

    async def act(secrets: KubernetesSecrets) -> None:
        async def write(found: Credentials) -> None:
            file = CredentialFile(name, b"{}", None)
            await secrets.replace(ANN, Credentials({**found.files, name: file}, found.version))

        await changed(lambda: secrets.get(ANN), write, busy="the credentials are")

    return act


async def delete(secrets: KubernetesSecrets) -> None:
    async def write(found: Credentials) -> None:
        if found.version:
            await secrets.replace(ANN, Credentials({}, found.version))

    await changed(lambda: secrets.get(ANN), write, busy="the credentials are")


async def remove(secrets: KubernetesSecrets) -> None:
    async def nothing() -> None: ...

    await changed(nothing, lambda _: secrets.remove(ANN.email), busy="the credentials are")


async def rebind(secrets: KubernetesSecrets) -> None:
    async def nothing() -> None: ...

    await changed(nothing, lambda _: secrets.rebind(ANN.email, ANN.subject), busy="the credentials are")


async def read(secrets: KubernetesSecrets) -> set[str]:
    return set((await secrets.get(ANN)).files)


def run(*acting: Awaitable[Any], order: Iterator[int] | None = None) -> list[Any]:
    """Runs acts; ``order`` says whose next request is answered. Returns what they returned."""
    order = order or itertools.repeat(0)
    results: dict[int, Any] = {}
    waiting = {number: cast("Coroutine[Any, Any, Any]", one) for number, one in enumerate(acting)}
    while waiting:
        number = [*waiting][next(order) % len(waiting)]
        try:
            waiting[number].send(None)
        except StopIteration as end:
            results[number] = end.value
            del waiting[number]
    return [results[number] for number in range(len(acting))]


_TURNS, _SWITCHES = 10, 3
"""Requests among which the turn passes on, and how often it does at most."""


def interleavings() -> Iterator[Iterator[int]]:
    """The orders of two acts in which the turn passes on at most ``_SWITCHES`` times."""
    for switches in range(_SWITCHES + 1):
        for places in itertools.combinations(range(_TURNS), switches):
            for first in (0, 1):
                yield ((first + sum(at >= place for place in places)) % 2 for at in itertools.count())


def before(*, old: bool, own: bool) -> Api:
    """A namespace with an earlier release's Secret, with ours, or with both after a crash."""
    api = Api()
    if old:
        api.has(OLD, KEPT)
    if own:
        api.has(OWN, KEPT)
    return api


ACTS: dict[str, tuple[Act, Callable[[set[str]], set[str]]]] = {
    "put": (put(PUT), lambda files: files | {PUT}),
    "put too": (put(PUT_TOO), lambda files: files | {PUT_TOO}),
    "delete": (delete, lambda files: set()),
    "remove": (remove, lambda files: set()),
    "rebind": (rebind, lambda files: files),
}


@pytest.mark.parametrize("own", [False, True], ids=["earlier only", "both"])
@pytest.mark.parametrize("pair", list(itertools.combinations_with_replacement(ACTS, 2)), ids="+".join)
def test_two_acts_at_once_are_as_one_after_the_other(pair: tuple[str, str], own: bool) -> None:
    (one, after_one), (two, after_two) = (ACTS[name] for name in pair)
    allowed = [after_two(after_one({KEPT})), after_one(after_two({KEPT}))]
    for order in interleavings():
        api = before(old=True, own=own)
        run(one(store(api)), two(store(api)), order=order)
        (files,) = run(read(store(api)))
        assert files in allowed
        assert set(api.secrets) <= ({OLD} if pair == ("rebind", "rebind") and not own else {OLD, OWN})
        if not {"rebind"}.issuperset(pair):
            assert OLD not in api.secrets


@pytest.mark.parametrize("own", [False, True], ids=["earlier only", "both"])
@pytest.mark.parametrize("name", list(ACTS))
def test_a_reader_meets_what_was_there_before_or_afterwards(name: str, own: bool) -> None:
    act, after = ACTS[name]
    for order in interleavings():
        api = before(old=True, own=own)
        _, files = run(act(store(api)), read(store(api)), order=order)
        assert files in ({KEPT}, after({KEPT}))


@pytest.mark.parametrize("own", [False, True], ids=["earlier only", "both"])
@pytest.mark.parametrize("name", list(ACTS))
def test_whoever_dies_leaves_it_as_before_or_as_afterwards_and_the_next_one_ends_it(
    name: str, own: bool
) -> None:
    act, after = ACTS[name]
    for requests in range(12):
        for end, expected in ((put(PUT_TOO), {PUT_TOO}), (delete, None)):
            api = before(old=True, own=own)
            dying = act(store(api))
            try:
                for _ in range(requests):
                    dying.send(None)
            except StopIteration:
                pass
            dying.close()
            (files,) = run(read(store(api)))
            assert files in ({KEPT}, after({KEPT}))
            run(end(store(api)))
            kept = set() if expected is None else files | expected
            assert {one: api.files(one) for one in api.secrets} == ({OWN: kept} if kept else {})


@pytest.mark.parametrize("own", [False, True], ids=["earlier only", "both"])
@pytest.mark.parametrize("name", list(ACTS))
def test_an_answer_that_is_lost_loses_no_file(name: str, own: bool) -> None:
    act, after = ACTS[name]
    for lost in range(1, 12):
        api = before(old=True, own=own)
        api.lost = lost
        with contextlib.suppress(ClusterUnavailable):
            run(act(store(api)))
        (files,) = run(read(store(api)))
        assert files == after({KEPT})


async def test_a_deletion_whose_answer_is_lost_on_the_way_is_not_taken_for_somebody_elses() -> None:
    made = Answer(body={"kind": "Secret", "metadata": {"resourceVersion": "9"}})
    script = [made, Answer(status=0), failure(404, "NotFound")]
    files = {KEPT: CredentialFile(KEPT, b"{}", None)}
    async with KubeServer(script).running() as server, closing(api_at(server.url)) as api:
        with pytest.raises(ClusterUnavailable):
            await KubernetesSecrets(api, "gamgui", Id("a1")).replace(ANN, Credentials(files, "earlier:7"))
        sent = [(request.method, request.path.rpartition("/")[2]) for request in server.requests]
    assert sent == [("POST", "secrets"), ("DELETE", OLD)]  # and the new one stays


def test_what_an_instance_of_the_earlier_release_puts_meanwhile_is_not_lost_unread() -> None:
    for order in interleavings():
        api = before(old=True, own=False)
        run(put(PUT)(store(api)), put(PUT_TOO)(store(api, "")), order=order)
        assert {KEPT, PUT} <= api.files(OWN)
        assert PUT_TOO in api.files(OWN) | api.files(OLD)


@pytest.mark.parametrize("name", list(ACTS))
def test_nothing_of_another_installation_is_read_or_touched(name: str) -> None:
    api = Api()
    api.has(OTHERS, KEPT)
    theirs = copy.deepcopy(api.secrets)
    act, after = ACTS[name]
    assert run(read(store(api))) == [set()]
    run(act(store(api)))
    assert run(read(store(api))) == [after(set())]
    assert {one: held for one, held in api.secrets.items() if one != OWN} == theirs


def test_the_new_one_says_whose_it_is_and_the_old_ones_subject_is_honoured() -> None:
    api = before(old=True, own=False)
    run(put(PUT)(store(api)))
    assert api.secrets[OWN]["metadata"]["labels"][INSTALLATION_LABEL] == "a1"
    api = before(old=True, own=False)
    api.secrets[OLD]["metadata"]["annotations"] = {"gamgui.io/subject": "somebody else's"}
    with pytest.raises(Conflict, match="another account"):
        run(put(PUT)(store(api)))
    assert set(api.secrets) == {OLD}


@pytest.mark.parametrize(
    ("old", "own", "secret"), [(True, False, OLD), (False, True, OWN), (True, True, OWN)]
)
def test_a_new_session_mounts_the_one_that_was_found(old: bool, own: bool, secret: str) -> None:
    (found,) = run(NewSessionCredentials(store(before(old=old, own=own))).mounted(ANN, None))
    assert (found.files, found.secret) == ((KEPT,), secret)
    session = a_session(credentials=found.files, credentials_secret=found.secret)
    volumes = pod_manifest(session, OPTIONS)["spec"]["volumes"]
    assert [one["secret"]["secretName"] for one in volumes if "secret" in one] == [secret]
