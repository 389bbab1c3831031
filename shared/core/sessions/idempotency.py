"""Idempotency-Key: a repeated request gets the first one's answer, and nothing is done twice.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/: another
request under the same key is 422, a repetition while the first still runs 409.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from datetime import timedelta

from shared.core.clock import Clock
from shared.core.person import Person
from shared.core.sessions.ports import RequestRecord, SessionStore
from shared.errors import Conflict, UnprocessableRequest, VersionConflict
from shared.reasons import Reason

_LEASE_MARGIN_SECONDS = 60
_KEPT = timedelta(hours=24)


class IdempotentRequests:
    """Keeps what was answered under which key.

    Args:
        store: Keeps the records.
        clock: The time of day.
    """

    def __init__(self, store: SessionStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def begin(
        self, owner: Person, operation: str, key: str, body: bytes, *, resource_id: str, wait_seconds: float
    ) -> RequestRecord:
        """Claims a key for a create.

        Args:
            owner: Whose key it is: keys of different persons never meet.
            operation: What is created, and where: nor do keys of different operations.
            key: As the caller sent it.
            body: The request; another one under the same key is refused.
            resource_id: Id of what is to be created, if this is the first request.
            wait_seconds: How long the request may take, so that a dead one can be taken over.

        Returns:
            The record. With a ``response``, the request was answered before: answer it
            again. Without, do it, under the id ``resource_id``.

        Raises:
            UnprocessableRequest: The key was used for another request.
            Conflict: The first request still runs.
        """
        now = self._clock.now()
        record = RequestRecord(
            key=hashlib.sha256("\0".join((owner.subject, operation, key)).encode()).hexdigest(),
            fingerprint=hashlib.sha256(body).hexdigest(),
            resource_id=resource_id,
            lease_until=now + timedelta(seconds=wait_seconds + _LEASE_MARGIN_SECONDS),
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
            # The first request died: this one goes on under the same id.
            taken = dataclasses.replace(record, resource_id=known.resource_id, version=known.version)
            with contextlib.suppress(VersionConflict):
                return await self._store.update_request(taken)
        raise Conflict(
            "the first request with this Idempotency-Key is still running",
            reason=Reason.REQUEST_IN_PROGRESS,
            retry_after_seconds=2,
        )

    async def finish(self, record: RequestRecord, status: int, response: str) -> None:
        """Keeps the answer of a request for its repetitions."""
        with contextlib.suppress(VersionConflict):
            done = dataclasses.replace(record, status=status, response=response)
            await self._store.update_request(done)

    async def release(self, record: RequestRecord, resource_id: str) -> None:
        """Gives the key free after a failure that a repetition may overcome, under this id."""
        free = dataclasses.replace(record, resource_id=resource_id, lease_until=self._clock.now())
        with contextlib.suppress(VersionConflict):
            await self._store.update_request(free)
