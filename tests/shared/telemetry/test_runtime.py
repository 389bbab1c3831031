"""What pods do is told, and nothing of it is otherwise for that."""

from __future__ import annotations

import ast
from contextlib import AbstractContextManager, aclosing, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import shared
from shared.core.commands import Command
from shared.core.sessions.model import SessionState
from shared.core.sessions.pod import PodPhase, PodStatus
from shared.core.sessions.ports import PodRuntime
from shared.core.telemetry import SilentTelemetry
from shared.errors import SessionStartFailed
from shared.reasons import Reason
from shared.telemetry.runtime import ToldRuntime
from tests.shared.store.samples import NOON, SetClock, a_session
from tests.support.scripted_runtime import ScriptedRuntime

FAILED = PodStatus(PodPhase.FAILED, "Evicted: low on memory", Reason.POD_EVICTED)


class Kept(SilentTelemetry):
    def __init__(self) -> None:
        self.told: list[Any] = []

    def exec(self) -> AbstractContextManager[None]:
        self.told.append("exec")
        return nullcontext()

    def pod_created(self) -> None:
        self.told.append("created")

    def pod_failed(self, reason: str) -> None:
        self.told.append(("failed", reason))

    def pod_ready(self, seconds: float) -> None:
        self.told.append(("ready", seconds))


async def everything(runtime: PodRuntime) -> list[Any]:
    """What each method answers."""
    session = a_session()
    answers: list[Any] = [await runtime.connect(), await runtime.create(session)]
    answers += [await runtime.wait_ready(session, 3, "41"), await runtime.status(session)]
    command = Command(argv=["true"], timeout_seconds=5)
    async with aclosing(runtime.execute(session, command)) as events:
        answers += [event async for event in events]
    answers.append(await runtime.delete(session, 1))
    await runtime.ping()
    await runtime.close()
    return answers


async def test_it_answers_what_the_runtime_answers_and_tells_what_was_done() -> None:
    plain, inner, telemetry = ScriptedRuntime(), ScriptedRuntime(), Kept()
    clock = SetClock(NOON + timedelta(seconds=4))
    told = ToldRuntime(inner, telemetry, clock)
    assert await everything(told) == await everything(plain)
    assert inner.journal == plain.journal
    assert telemetry.told == ["created", ("ready", 4.0), "exec"]


async def test_a_failure_is_told_once_of_a_session_that_lives() -> None:
    telemetry = Kept()
    told = ToldRuntime(ScriptedRuntime(now=FAILED), telemetry, SetClock())
    await told.status(a_session())
    await told.status(a_session(state=SessionState.FAILED))
    assert telemetry.told == [("failed", "POD_EVICTED")]


async def test_a_pod_that_is_refused_is_told_by_its_reason() -> None:
    telemetry = Kept()
    error = SessionStartFailed("no", reason=Reason.IMAGE_UNAVAILABLE)
    told = ToldRuntime(ScriptedRuntime(create_error=error), telemetry, SetClock())
    with pytest.raises(SessionStartFailed):
        await told.create(a_session())
    assert telemetry.told == [("failed", "IMAGE_UNAVAILABLE")]


def test_nothing_in_production_answers_for_attributes_that_it_does_not_have() -> None:
    """An adapter that wraps another says what it does; reflection hides what is missing."""
    (root,) = shared.__path__
    found = [
        f"{path.name}:{node.lineno}"
        for path in Path(root).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.FunctionDef) and node.name in ("__getattr__", "__getattribute__"))
        or (isinstance(node, ast.Import) and any(one.name == "inspect" for one in node.names))
    ]
    assert found == []
