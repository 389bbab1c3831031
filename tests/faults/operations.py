"""The operations that are broken off, and what must be true of each afterwards."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable
from typing import Any, ClassVar

from shared.app.composition import App
from shared.core.commands import Command, Output
from shared.core.credentials.model import CredentialFile, Credentials
from shared.core.person import Person
from shared.core.sessions.model import Session, SessionState
from shared.core.sessions.names import credentials_name
from tests.faults.world import NEW, READY, World
from tests.support.gam_files import gam_files
from tests.support.patience import PATIENCE
from tests.support.people import person

OLD, FRESH = gam_files("old"), gam_files("new")
FILE, OTHER = "client_secrets.json", "oauth2service.json"


@dataclasses.dataclass
class Subject:
    """Whom an operation is about.

    Attributes:
        session: His session, where the operation needs one.
    """

    owner: str
    session: Session | None = None

    @property
    def person(self) -> Person:
        """Who he is."""
        return person(self.owner)

    @property
    def known(self) -> Session:
        """The session, which is there."""
        assert self.session is not None
        return self.session


@dataclasses.dataclass(frozen=True)
class Request:
    """The operation as a request to its function."""

    function: str
    method: str
    path: str
    body: bytes = b""
    user: str = ""


class Operation:
    """One operation.

    Attributes:
        name: For people.
        alone: It is about all there is in a namespace.
        ripens: Seconds that must pass from what is prepared to the operation.
    """

    name: str
    alone: ClassVar[bool] = False
    ripens: ClassVar[float] = 0.0

    async def prepare(self, world: World) -> Subject:
        """What must be there before; nothing goes wrong with it."""
        return Subject(world.new_owner())

    async def run(self, app: App, subject: Subject) -> Any:
        """The operation."""
        raise NotImplementedError

    def request(self, subject: Subject) -> Request:
        """The same over HTTP."""
        raise NotImplementedError

    async def wrong(self, world: World, subject: Subject, outcome: Any) -> list[str]:
        """What is wrong in the end.

        Args:
            world: Where it was.
            subject: What ``prepare`` answered.
            outcome: What ``run`` answered; None if it did not come to that.
        """
        return []


class Create(Operation):
    """Creates a session."""

    name = "create"

    async def run(self, app: App, subject: Subject) -> Session:
        return await app.sessions.create(subject.person, NEW)

    def request(self, subject: Subject) -> Request:
        resources = dataclasses.asdict(NEW.resources)
        body = json.dumps({"resources": resources, "wait_seconds": 30}).encode()
        return Request("create_session", "POST", "/v1/sessions", body)

    async def wrong(self, world: World, subject: Subject, outcome: Session | None) -> list[str]:
        found = await world.app.store.sessions.list_sessions(subject.owner, state=None, limit=9, after=None)
        if outcome is not None and [one.state for one in found] != [SessionState.RUNNING]:
            return [f"answered {outcome.state}, and there are {[one.state for one in found]}"]
        return [] if len(found) <= 1 else ["created twice"]


class Delete(Operation):
    """Deletes a running session."""

    name = "delete"

    async def prepare(self, world: World) -> Subject:
        owner = world.new_owner()
        return Subject(owner, await world.app.sessions.create(person(owner), READY))

    async def run(self, app: App, subject: Subject) -> Session:
        return await app.sessions.delete(subject.person, subject.known.id)

    def request(self, subject: Subject) -> Request:
        return Request("delete_session", "DELETE", f"/v1/sessions/{subject.known.id}")

    async def wrong(self, world: World, subject: Subject, outcome: Session | None) -> list[str]:
        stored = await world.app.store.sessions.get(subject.known.id)
        assert stored is not None
        if stored.state is SessionState.FAILED or (outcome and stored.state is not SessionState.DELETED):
            return [f"answered {outcome and outcome.state}, and it is {stored.state}: {stored.reason}"]
        return []


class ChangeCredentials(Operation):
    """Changes an owner's credentials.

    Args:
        name: For people.
        before: The files that are there.
        after: Those that are there afterwards.
        change: Makes the change.
        request: The same over HTTP: method, path and body.
    """

    def __init__(
        self,
        name: str,
        before: dict[str, bytes],
        after: dict[str, bytes],
        change: Callable[[App, Person], Any],
        request: tuple[str, str, bytes],
    ) -> None:
        self.name = name
        self._before, self._after, self._change, self._request = before, after, change, request

    async def prepare(self, world: World) -> Subject:
        owner = world.new_owner()
        if self._before:
            files = {name: CredentialFile(name, data, None) for name, data in self._before.items()}
            await world.app.credential_store.replace(person(owner), Credentials(files))
        return Subject(owner)

    async def run(self, app: App, subject: Subject) -> bool:
        await self._change(app, subject.person)
        return True

    def request(self, subject: Subject) -> Request:
        method, path, body = self._request
        return Request("credentials", method, path, body)

    async def wrong(self, world: World, subject: Subject, outcome: bool | None) -> list[str]:
        secrets = {one["metadata"]["name"]: one.get("data") or {} for one in await world.objects("secrets")}
        installation = await world.app.store.installation.id()
        found = secrets.get(credentials_name(subject.owner, installation), {})
        files = {name: base64.b64decode(data) for name, data in found.items()}
        if files == self._after or (not outcome and files == self._before):
            return []
        return [f"answered {outcome}, and the Secret holds {sorted(files)}, neither as before nor as after"]


class Refresh(Operation):
    """Copies changed credentials into a running session."""

    name = "refresh"

    async def prepare(self, world: World) -> Subject:
        owner, app = world.new_owner(), world.app
        await app.credentials.put(person(owner), FILE, OLD[FILE])
        session = await app.sessions.create(person(owner), READY)
        await app.credentials.put(person(owner), FILE, FRESH[FILE])
        await app.credentials.put(person(owner), OTHER, FRESH[OTHER])
        return Subject(owner, session)

    async def run(self, app: App, subject: Subject) -> Any:
        return await app.credentials.refresh(subject.person, subject.known.id)

    def request(self, subject: Subject) -> Request:
        return Request("credentials", "POST", f"/v1/sessions/{subject.known.id}/credentials:refresh")

    async def wrong(self, world: World, subject: Subject, outcome: Any) -> list[str]:
        """A later refresh still knows what it has to take away."""
        owner, session, app = subject.person, subject.known, world.app
        found = [f"not {name} as before or after" for name in await self._neither(world, session)]
        await app.credentials.delete(owner, OTHER)
        await app.credentials.refresh(owner, session.id)
        files = await _files(world, session)
        return [*found, *([] if files == {FILE: FRESH[FILE]} else [f"in the end it has {sorted(files)}"])]

    async def _neither(self, world: World, session: Session) -> list[str]:
        files = await _files(world, session)
        return [name for name, data in files.items() if data not in (OLD[name], FRESH[name])]


async def _files(world: World, session: Session) -> dict[str, bytes]:
    """What a session has of credentials."""
    script = 'cd ~/.gam && for file in $(ls -A); do echo "$file $(base64 "$file" | tr -d "\\n")"; done'
    output = b""
    async for event in world.app.runtime.execute(
        session, Command(argv=["sh", "-c", script], timeout_seconds=PATIENCE)
    ):
        output += event.data if isinstance(event, Output) and event.stream == "stdout" else b""
    lines = [line.partition(" ") for line in output.decode().splitlines()]
    return {name: base64.b64decode(data) for name, _, data in lines}


PUT_FIRST = ChangeCredentials(
    "first credentials",
    {},
    {FILE: FRESH[FILE]},
    lambda app, owner: app.credentials.put(owner, FILE, FRESH[FILE]),
    ("PUT", f"/v1/credentials/{FILE}", FRESH[FILE]),
)
PUT = ChangeCredentials(
    "changed credentials",
    {FILE: OLD[FILE], OTHER: OLD[OTHER]},
    {FILE: FRESH[FILE], OTHER: OLD[OTHER]},
    lambda app, owner: app.credentials.put(owner, FILE, FRESH[FILE]),
    ("PUT", f"/v1/credentials/{FILE}", FRESH[FILE]),
)
DELETE_FILE = ChangeCredentials(
    "credentials less one",
    {FILE: OLD[FILE], OTHER: OLD[OTHER]},
    {OTHER: OLD[OTHER]},
    lambda app, owner: app.credentials.delete(owner, FILE),
    ("DELETE", f"/v1/credentials/{FILE}", b""),
)
DELETE_ALL = ChangeCredentials(
    "credentials deleted",
    {FILE: OLD[FILE], OTHER: OLD[OTHER]},
    {},
    lambda app, owner: app.credentials.delete(owner, None),
    ("DELETE", "/v1/credentials", b""),
)
CREDENTIALS = (PUT_FIRST, PUT, DELETE_FILE, DELETE_ALL)
