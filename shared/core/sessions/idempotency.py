"""Idempotency-Key: a repeated request gets the first request's answer, and nothing is done twice.

The status codes are those of https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/:
422 for another request under the same key, 409 for a repetition while the first request still runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeAlias

from shared.core.clock import Clock
from shared.core.person import Person
from shared.core.sessions.ports import RequestRecord, RequestStore
from shared.errors import Conflict, GamguiError, UnprocessableRequest, VersionConflict, error_from, members_of
from shared.reasons import Reason

_LEASE_MARGIN_SECONDS = 60
_KEPT = timedelta(hours=24)

Created: TypeAlias = tuple[int, dict[str, Any]]
"""HTTP status and JSON object of the answer to a create request."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """What a request creates.

    Attributes:
        owner: The person who sent the key. Equal keys of different persons are different keys.
        operation: What is created, and where. Equal keys of different operations are different keys.
        seconds: Longest time that the request may take. After this time and a margin, a repetition takes
            the first request for dead.
        new_id: Returns a new id.
        create: Creates the resource with the id that it gets.
        repeatable: After a failure of this service, ``create`` may be repeated with the same id and
            does nothing twice. Otherwise a repetition gets another id.
        require: Raises if the request cannot be this owner's at all, such as for a session that does not
            exist. Nothing is kept for such a request. None: there is nothing to require.
    """

    owner: Person
    operation: str
    seconds: float
    new_id: Callable[[], str]
    create: Callable[[str], Awaitable[Created]]
    repeatable: bool
    require: Callable[[], Awaitable[object]] | None = None


class IdempotentRequests:
    """Keeps the answer that was given under each key.

    Args:
        store: Keeps the records.
        clock: The time of day.
    """

    def __init__(self, store: RequestStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run(self, key: str | None, body: bytes, creation: Creation) -> tuple[str, Created]:
        """Creates the resource, or repeats the answer that the first request got.

        A failure for which the request or the resource's state is the cause is kept, and raised again for
        each repetition. A failure of this service (500 and above) or of a limit (429) frees the key.

        Args:
            key: The key as the caller sent it; None: every request creates a resource.
            body: The request's body; a request with another body under the same key is refused.
            creation: What to create, and how.

        Returns:
            The id of the resource, and what ``create`` returned for it.

        Raises:
            UnprocessableRequest: The key was used for another request.
            Conflict: The first request still runs.
            GamguiError: What ``create`` raised, now or for the first request; what ``require`` raised.
        """
        if key is None:
            new_id = creation.new_id()
            return new_id, await creation.create(new_id)
        if creation.require is not None:
            await creation.require()
        record = await self._begin(key, body, creation)
        if record.response is not None:
            return record.resource_id, _answered(record.status or 200, record.response)
        try:
            status, members = await creation.create(record.resource_id)
        except GamguiError as error:
            if error.status >= 500 or error.status == 429:
                await self._release(record, creation)
            else:
                await self._finish(record, error.status, members_of(error))
            raise
        await self._finish(record, status, members)
        return record.resource_id, (status, members)

    async def _begin(self, key: str, body: bytes, creation: Creation) -> RequestRecord:
        """Claims a key. If the record has no response, the caller creates the resource ``resource_id``."""
        now = self._clock.now()
        owned = "\0".join((creation.owner.subject, creation.operation, key))
        record = RequestRecord(
            key=hashlib.sha256(owned.encode()).hexdigest(),
            fingerprint=hashlib.sha256(body).hexdigest(),
            resource_id=creation.new_id(),
            lease_until=now + timedelta(seconds=creation.seconds + _LEASE_MARGIN_SECONDS),
            expires_at=now + _KEPT,
        )
        known = await self._store.begin_request(record)
        if known.resource_id == record.resource_id:
            return known
        if known.fingerprint != record.fingerprint:
            raise UnprocessableRequest(
                "this Idempotency-Key was used for another request", reason=Reason.IDEMPOTENCY_KEY_REUSED
            )
        if known.response is not None:
            return known
        if now >= known.lease_until:
            # The first request died: this request goes on with the same id.
            taken = dataclasses.replace(record, resource_id=known.resource_id, version=known.version)
            with contextlib.suppress(VersionConflict):
                return await self._store.update_request(taken)
        raise Conflict(
            "the first request with this Idempotency-Key is still running",
            reason=Reason.REQUEST_IN_PROGRESS,
            retry_after_seconds=2,
        )

    async def _finish(self, record: RequestRecord, status: int, members: dict[str, Any]) -> None:
        """Stores the answer for repetitions."""
        with contextlib.suppress(VersionConflict):
            done = dataclasses.replace(record, status=status, response=json.dumps(members))
            await self._store.update_request(done)

    async def _release(self, record: RequestRecord, creation: Creation) -> None:
        """Frees the key after a failure that a repetition may overcome."""
        again = record.resource_id if creation.repeatable else creation.new_id()
        free = dataclasses.replace(record, resource_id=again, lease_until=self._clock.now())
        with contextlib.suppress(VersionConflict):
            await self._store.update_request(free)


def _answered(status: int, response: str) -> Created:
    """The stored answer.

    Raises:
        GamguiError: The stored answer is a failure.
    """
    members: dict[str, Any] = json.loads(response)
    if status >= 400:
        raise error_from(members)
    return status, members
