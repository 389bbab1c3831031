"""A value with a limited life: it is renewed ahead of time, and only once for all callers that wait."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from shared.errors import ConnectionFailed

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_PAUSE_SECONDS = 5.0
"""Pause between a failed early renewal and the next try, while the old value still serves."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lease(Generic[_T]):
    """A value and how long it serves.

    Attributes:
        value: What was obtained.
        renew_at: From this time on the value is renewed before it is handed out, in seconds
            since the epoch. It is wall time, because expiry is given in wall time and a paused
            instance's monotonic clock may stand still.
        expires_at: From this time on the value is of no use, in seconds since the epoch.
    """

    value: _T = dataclasses.field(repr=False)
    renew_at: float = math.inf
    expires_at: float = math.inf


def lease_until(value: _T, expires_at: float | None, *, margin_seconds: float, now: float) -> Lease[_T]:
    """A lease renewed ``margin_seconds`` before it ends, or at half its life if that is later.

    Args:
        value: What was obtained.
        expires_at: End of the value's life in seconds since the epoch; None: unknown.
        margin_seconds: How long before the end to renew.
        now: The time of day, in seconds since the epoch.
    """
    if expires_at is None:
        return Lease(value=value)
    margin = min(margin_seconds, max(0.0, expires_at - now) / 2)
    return Lease(value=value, renew_at=expires_at - margin, expires_at=expires_at)


class Renewal(Generic[_T]):
    """Hands out a value, and renews it when its life ends or when it was refused.

    Belongs to one event loop. A renewal goes on when the caller that started it is
    cancelled, because others wait for it.

    Args:
        fetch: Obtains a new lease.
        what: Name of the value, for the log.
        grace_seconds: A refusal reported this soon after a renewal is taken for a refusal of
            the value before, so that requests that were under way do not each renew again.
        now: The time of day, in seconds since the epoch.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Lease[_T]]],
        *,
        what: str,
        grace_seconds: float = 0.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._fetch = fetch
        self._what = what
        self._grace_seconds = grace_seconds
        self._now = now
        self._lease: Lease[_T] | None = None
        self._renewed_at = -math.inf
        self._not_before = -math.inf
        self._running: asyncio.Task[Lease[_T]] | None = None

    async def get(self, *, refused: bool = False) -> _T:
        """The value, renewed if need be.

        Args:
            refused: The last value was refused: get another one.

        Raises:
            ConnectionFailed: No new value can be had, and the last one does not serve any more.
        """
        lease, now = self._lease, self._now()
        if lease is None or now >= lease.expires_at:
            return (await self._renew()).value
        if refused:
            if now < self._renewed_at + self._grace_seconds:
                return lease.value
            return (await self._renew()).value
        if now < lease.renew_at or now < self._not_before:
            return lease.value
        try:
            return (await self._renew()).value
        except ConnectionFailed as error:
            self._not_before = now + _PAUSE_SECONDS
            _log.warning("%s not renewed, the last one still serves: %s", self._what, error.detail)
            return lease.value

    async def _renew(self) -> Lease[_T]:
        if self._running is None:
            self._running = asyncio.create_task(self._run())
            self._running.add_done_callback(self._ended)
        return await asyncio.shield(self._running)

    async def _run(self) -> Lease[_T]:
        lease = await self._fetch()
        if self._lease is not None:
            self._renewed_at = self._now()
        self._lease = lease
        return lease

    def _ended(self, task: asyncio.Task[Lease[_T]]) -> None:
        self._running = None
        if not task.cancelled():
            task.exception()  # marks the exception as seen, in case every waiter is gone
