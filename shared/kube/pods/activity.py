"""Whether a process works in a session's pod: the adapter behind ``Activity``."""

from __future__ import annotations

from shared.core.commands import SHELL, Command, ExecResult
from shared.core.held import Held, short_answer
from shared.core.sessions.model import Session
from shared.core.sessions.ports import PodRuntime
from shared.errors import ClusterUnavailable, NotFound
from shared.kube.exec.supervisor import script
from shared.kube.pods.manifest import NAP_SECONDS
from shared.reasons import Reason

_NAME = "gamgui-activity"
_SECONDS = 15.0
_MAX_ANSWER_BYTES = 100
_MAX_ERRORS_BYTES = 64 * 1024


class KubernetesActivity:
    """Counts processes by a command in the pod.

    Args:
        pods: Runs the command.
        held: Counts the bytes of pods' answers that are held; None: nobody asks.
    """

    def __init__(self, pods: PodRuntime, held: Held | None = None) -> None:
        self._pods = pods
        self._held = held or Held()

    async def processes(self, session: Session) -> int:
        """See ``Activity``."""
        argv = [SHELL, "-c", script("activity.sh", "shared.kube.pods"), _NAME, str(NAP_SECONDS)]
        command = Command(argv=argv, timeout_seconds=_SECONDS, internal=True)
        said = self._pods.execute(session, command)
        answer, end = await short_answer(said, self._held, stdout=_MAX_ANSWER_BYTES, stderr=_MAX_ERRORS_BYTES)
        if end.result is ExecResult.POD_LOST:
            raise NotFound(f"the session's pod does not run: {end.reason}", reason=Reason.POD_NOT_RUNNING)
        if end.exit_code != 0 or not answer.strip().isdigit():
            raise ClusterUnavailable("the session's pod gave no answer about its processes")
        return int(answer)
