"""Whether something goes on in a session's pod: the adapter behind ``Activity``."""

from __future__ import annotations

import contextlib

from shared.errors import ClusterUnavailable, NotFound
from shared.kube.manifest import NAP_SECONDS
from shared.kube.supervisor import script
from shared.sessions.execution import Command, ExecResult, Exit, Output
from shared.sessions.model import Session
from shared.sessions.ports import PodRuntime

_NAME = "gamgui-activity"
_SECONDS = 15.0
_MAX_ANSWER = 100


class KubernetesActivity:
    """Counts processes by a command in the pod.

    Args:
        pods: Runs the command.
    """

    def __init__(self, pods: PodRuntime) -> None:
        self._pods = pods

    async def processes(self, session: Session) -> int:
        """See ``Activity``."""
        argv = ["sh", "-c", script("activity.sh"), _NAME, str(NAP_SECONDS)]
        answer = b""
        end = Exit(result=ExecResult.UNKNOWN)
        command = Command(argv=argv, timeout_seconds=_SECONDS)
        async with contextlib.aclosing(self._pods.execute(session, command)) as events:
            async for event in events:
                if isinstance(event, Output) and event.stream == "stdout" and len(answer) < _MAX_ANSWER:
                    answer += event.data
                elif isinstance(event, Exit):
                    end = event
        if end.result is ExecResult.POD_LOST:
            raise NotFound(f"the session's pod does not run: {end.reason}", reason="POD_NOT_RUNNING")
        if end.exit_code != 0 or not answer.strip().isdigit():
            raise ClusterUnavailable("the session's pod gave no answer about its processes")
        return int(answer)
