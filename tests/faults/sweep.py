"""Breaks an operation off at one call after the other, and looks what has become of everything."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeAlias

from shared.app.composition import App
from shared.core.sessions.model import SessionState
from shared.errors import GamguiError, TooManyRequests
from shared.settings import Settings
from tests.faults.gate import gated
from tests.faults.line import Fault, Kind, Line
from tests.faults.operations import Operation, Subject
from tests.faults.world import LIMIT, Place, World
from tests.support.patience import PATIENCE
from tests.support.proofs import share, some

_AT_ONCE = 12
_ONE_OF = 5
"""``make test`` tries one of so many faults; ``make prove-faults`` tries them all."""

_WAITING_AT_ONCE = 48
"""Most operations at once: of these many do nothing but wait."""


@dataclasses.dataclass
class Point:
    """One operation with one fault, and what became of it.

    Attributes:
        outcome: What the operation answered.
        answer: The same over HTTP, its status and body.
        error: What it raised.
    """

    operation: Operation
    fault: Fault
    world: World
    subject: Subject
    line: Line
    outcome: Any = None
    answer: tuple[int, Any] | None = None
    error: BaseException | None = None
    seconds: float = 0.0

    def __str__(self) -> str:
        calls = self.line.calls
        call = calls[self.fault.at - 1] if self.line.met else "-"
        return f"{self.operation.name}: {self.fault} ({call}) -> {self.error!r}"


Faults: TypeAlias = Callable[[Sequence[str]], list[Fault]]
"""Which faults are to be tried, of the calls of an operation that meets none."""


async def calls_of(operation: Operation, place: Place) -> list[str]:
    """What an operation calls when nothing goes wrong."""
    async with World(place).made() as world:
        subject = await operation.prepare(world)
        await asyncio.sleep(operation.ripens)
        line = Line()
        async with world.behind(line) as settings:
            app = services(world, settings, line)
            try:
                await operation.run(app, subject)
            finally:
                await app.close()
        return line.calls


def services(world: World, settings: dict[str, str], line: Line) -> App:
    """The services of an instance whose calls go by this line."""
    app = App(Settings.from_env(settings))
    if world.place.store_gated:
        app.__dict__["engine"] = gated(app.engine, line)
    return app


async def sweep(
    operation: Operation,
    place: Place,
    faults: Faults,
    run: Callable[[Point, dict[str, str]], Any],
) -> tuple[list[Point], list[str]]:
    """Tries all faults, each with a subject of its own.

    Args:
        operation: What is broken off.
        place: Where worlds are made.
        faults: Which faults.
        run: Runs one point with the settings of a function behind its line, and breaks it off.

    Returns:
        The points that were met, and what was wrong at any.
    """
    tried = some(faults(await calls_of(operation, place)), share(_ONE_OF))
    async with AsyncExitStack() as stack:
        shared: World | None = None
        if not operation.alone:
            shared = await stack.enter_async_context(World(place).made())
        slots = asyncio.Semaphore(_AT_ONCE)

        async def prepared(fault: Fault) -> Point:
            async with slots:
                world = shared if shared else await stack.enter_async_context(World(place).made())
                return Point(operation, fault, world, await operation.prepare(world), Line(fault))

        points = await asyncio.gather(*(prepared(fault) for fault in tried))

        await asyncio.sleep(operation.ripens)

        waiting = asyncio.Semaphore(_WAITING_AT_ONCE)

        async def ran(point: Point) -> None:
            async with waiting, point.world.behind(point.line) as settings:
                await run(point, settings)

        await asyncio.gather(*(ran(point) for point in points))
        wrong = await _afterwards(points, slots)
    return [point for point in points if point.line.met], wrong


async def sweep_all(
    operations: Sequence[tuple[Operation, int]],
    place: Place,
    faults: Faults,
    run: Callable[[Point, dict[str, str]], Any],
) -> dict[str, int]:
    """Sweeps operations, all at once: it is waiting that takes the time.

    Args:
        operations: Each with the number of points that it has at least.
        place: As ``sweep`` takes it, like the others.

    Returns:
        How many points each had, by its name.
    """
    swept = await asyncio.gather(*(sweep(one, place, faults, run) for one, _ in operations))
    found = [what for _, wrong in swept for what in wrong]
    for (operation, least), (points, _) in zip(operations, swept, strict=True):
        expected = least // (2 * one_of) if (one_of := share(_ONE_OF)) > 1 else least
        if len(points) < expected:
            found.append(f"{operation.name}: {len(points)} points, and not {expected}")
    assert not found, "\n".join(found)
    return {point.operation.name: len(points) for points, _ in swept for point in points}


async def _afterwards(points: Sequence[Point], slots: asyncio.Semaphore) -> list[str]:
    """What is wrong after time has passed and cleanup has run."""

    async def of_world(world: World) -> list[str]:
        async with slots:
            return [f"{_who(world, points)}: {what}" for what in await world.settled()]

    async def of_point(point: Point) -> list[str]:
        async with slots:
            found = [
                *_of_the_run(point),
                *await point.operation.wrong(point.world, point.subject, point.outcome),
            ]
            return [f"{point}: {what}" for what in [*found, *await _limit(point)]]

    worlds = {point.world.name: point.world for point in points}
    found = await asyncio.gather(*(of_world(world) for world in worlds.values()))
    found += await asyncio.gather(*(of_point(point) for point in points))
    return [what for one in found for what in one]


def _who(world: World, points: Sequence[Point]) -> str:
    mine = [str(point) for point in points if point.world is world]
    return mine[0] if len(mine) == 1 else world.name


def _of_the_run(point: Point) -> list[str]:
    found = []
    if point.answer is not None and point.answer[0] >= 300:
        found.append(f"answered {point.answer}")
    if point.error is not None and not isinstance(point.error, GamguiError | asyncio.CancelledError):
        found.append("an error that is none of ours")
    if point.seconds > PATIENCE:
        found.append(f"took {point.seconds:.0f} s")
    return found


async def _limit(point: Point) -> list[str]:
    """That the owner can create as many sessions as he has left, and not one more."""
    store, owner = point.world.app.store.sessions, point.subject.owner
    sessions = await store.list_sessions(owner, state=None, limit=100, after=None)
    left = LIMIT - sum(session.live for session in sessions)
    created = 0
    try:
        while created <= LIMIT:
            await store.create(point.world.document(owner, SessionState.PENDING, virtual=True), limit=LIMIT)
            created += 1
    except TooManyRequests:
        pass
    return [] if created == left else [f"{created} sessions could be created, and {left} were left"]


async def with_fault(point: Point, settings: dict[str, str]) -> None:
    """Runs the operation to its end, whatever it is."""
    app = services(point.world, settings, point.line)
    started = time.monotonic()
    try:
        point.outcome = await point.operation.run(app, point.subject)
    except Exception as error:  # noqa: BLE001 - which ones are right is told later
        point.error = error
    point.seconds = time.monotonic() - started
    point.line.open = True
    await app.close()


async def cancelled(point: Point, settings: dict[str, str]) -> None:
    """Cancels the operation at its call; the instance goes on."""
    app = services(point.world, settings, point.line)
    running = asyncio.ensure_future(point.operation.run(app, point.subject))
    held = asyncio.ensure_future(point.line.held.wait())
    await asyncio.wait([running, held], return_when=asyncio.FIRST_COMPLETED)
    held.cancel()
    point.line.open = True
    running.cancel()
    outcome: Any
    (outcome,) = await asyncio.gather(running, return_exceptions=True)
    if isinstance(outcome, BaseException):
        point.error = outcome
    else:
        point.outcome = outcome
    await app.close()


def crashes(calls: Sequence[str]) -> list[Fault]:
    """Before and after each call that an operation makes, and one call further than that."""
    return [Fault(Kind.CRASH, at, acted=acted) for at in range(1, len(calls) + 2) for acted in (False, True)]
