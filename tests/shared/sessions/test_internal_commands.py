"""No script of ours gets its session's variables: LD_PRELOAD would make it its owner's.

They are the caller's, for his commands and jobs. A script that moves files, counts processes, brings
credentials or speaks of jobs answers to us.
"""

from __future__ import annotations

import contextlib

import pytest

from shared.errors import GamguiError
from shared.kube.jobs import KubernetesJobs
from shared.kube.supervisor import command_line
from shared.sessions.access import SessionAccess
from shared.sessions.auditor import Auditor
from shared.sessions.files import SessionFiles
from shared.sessions.held import Held
from shared.sessions.model import Session, SessionState
from shared.sessions.states import SessionStates
from shared.sessions.variables import of_command
from shared.sessions.virtual import VirtualRuntime
from shared.store.sqlite import SqliteStore
from tests.shared.sessions.test_floods import LIMITS, USE_CASES
from tests.shared.store.samples import RETENTION, SetClock, a_session
from tests.support.people import ALICE
from tests.support.scripted_runtime import KeptAudit, ScriptedRuntime

CANARY = "canary-of-the-session"
ENV = {
    "LD_PRELOAD": f"/workspace/{CANARY}.so",
    "PATH": f"/workspace/{CANARY}",
    "BASH_ENV": CANARY,
    "ENV": CANARY,
}


class World:
    """The same services as under floods, on pods that say nothing and note what they are to run."""

    def __init__(self, store: SqliteStore, session: Session) -> None:
        clock, self.held, self.session = SetClock(), Held(), session
        self.runtime = ScriptedRuntime()
        self.jobs = KubernetesJobs(self.runtime, LIMITS, self.held)
        audit = Auditor(KeptAudit(), clock)
        access = SessionAccess(
            store=store,
            runtime=self.runtime,
            virtual=VirtualRuntime(),
            states=SessionStates(store, clock, RETENTION),
            clock=clock,
            audit=audit,
        )
        self.files = SessionFiles(
            access=access, audit=audit, timeout_seconds=600, max_bytes=100, held=self.held
        )


@pytest.mark.parametrize("use", USE_CASES)
async def test_a_script_of_ours_has_nothing_of_its_sessions_variables(use: str, sqlite: SqliteStore) -> None:
    session = await sqlite.create(a_session(owner=ALICE.email, state=SessionState.RUNNING, env=ENV))
    world = World(sqlite, session)
    with contextlib.suppress(GamguiError):  # a pod that says nothing has not answered
        await USE_CASES[use](world)  # type: ignore[arg-type]
    assert world.runtime.commands
    for command in world.runtime.commands:
        assert command.internal
        assert not set(command.env) & set(ENV)
        assert CANARY not in repr(command.argv) + repr(dict(command.env)) + command.workdir
        line = command_line(command)
        assert CANARY.encode() not in line
        assert b'gamgui_path="system"' in line


def test_a_command_of_the_callers_has_them() -> None:
    assert of_command(ENV, {"ENV": "own"})["LD_PRELOAD"] == ENV["LD_PRELOAD"]
