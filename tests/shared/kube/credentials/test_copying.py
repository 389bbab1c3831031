"""Credentials on their way into a pod: nothing but a good end is a success."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from shared.core.commands import ExecEvent, ExecResult, Exit, Output, Started
from shared.core.credentials.model import Credentials
from shared.errors import ClusterUnavailable, GamguiError, NotFound, UnprocessableRequest
from shared.kube.credentials.copying import KubernetesCredentials
from tests.shared.store.samples import a_session

DONE = Exit(result=ExecResult.EXITED, exit_code=0)


class Pod:
    """Its command says these events."""

    def __init__(self, *events: ExecEvent) -> None:
        self._events = events

    async def execute(self, *_: Any) -> AsyncGenerator[ExecEvent, None]:
        for event in self._events:
            yield event


async def copied(*events: ExecEvent) -> None:
    runtime: Any = Pod(*events)
    await KubernetesCredentials(runtime).copy(a_session(), Credentials({}), ())


async def test_what_the_command_says_besides_does_not_matter() -> None:
    await copied(Started(1), Output("stderr", 0, b"tar: x"), Output("stdout", 0, b"y"), DONE)


ENDS: Sequence[tuple[Sequence[ExecEvent], type[GamguiError]]] = [
    ((), ClusterUnavailable),
    ((Started(1),), ClusterUnavailable),
    ((Exit(result=ExecResult.UNKNOWN),), ClusterUnavailable),
    ((Exit(result=ExecResult.POD_LOST),), NotFound),
    ((Exit(result=ExecResult.EXITED, exit_code=1),), UnprocessableRequest),
    ((Exit(result=ExecResult.SIGNALED, exit_code=137),), UnprocessableRequest),
    ((Exit(result=ExecResult.TIMED_OUT),), UnprocessableRequest),
    ((Exit(result=ExecResult.START_FAILED),), UnprocessableRequest),
    ((Exit(result=ExecResult.UNKNOWN), DONE), ClusterUnavailable),
    ((Output("stdout", 0, b"x" * 65_537), DONE), ClusterUnavailable),
    ((Output("stderr", 0, b"x" * 65_536), DONE), ClusterUnavailable),
]


@pytest.mark.parametrize(("events", "error"), ENDS)
async def test_whatever_else_is_none(events: Sequence[ExecEvent], error: type[GamguiError]) -> None:
    with pytest.raises(error):
        await copied(*events)
