"""No script of ours gets its session's variables: LD_PRELOAD would make it its owner's.

They are the caller's, for his commands and jobs. A script that moves files, counts processes, brings
credentials or speaks of jobs answers to us.
"""

from __future__ import annotations

import contextlib

import pytest

from shared.core.held import Held
from shared.core.sessions.model import SessionState
from shared.core.sessions.variables import of_command
from shared.errors import GamguiError
from shared.kube.exec.supervisor import command_line
from tests.shared.core.sessions.test_floods import USE_CASES, World
from tests.shared.store.samples import a_session
from tests.support.people import ALICE
from tests.support.scripted_runtime import ScriptedRuntime
from tests.support.stores import SqliteStore

CANARY = "canary-of-the-session"
ENV = {
    "LD_PRELOAD": f"/workspace/{CANARY}.so",
    "PATH": f"/workspace/{CANARY}",
    "BASH_ENV": CANARY,
    "ENV": CANARY,
}


@pytest.mark.parametrize("use", USE_CASES)
async def test_a_script_of_ours_has_nothing_of_its_sessions_variables(use: str, sqlite: SqliteStore) -> None:
    session = await sqlite.create(a_session(owner=ALICE.email, state=SessionState.RUNNING, env=ENV))
    runtime = ScriptedRuntime()
    world = World(runtime, Held(), sqlite, session)
    with contextlib.suppress(GamguiError):  # a pod that says nothing has not answered
        await USE_CASES[use](world)
    assert runtime.commands
    for command in runtime.commands:
        assert command.internal
        assert not set(command.env) & set(ENV)
        assert CANARY not in repr(command.argv) + repr(dict(command.env)) + command.workdir
        line = command_line(command)
        assert CANARY.encode() not in line
        assert b'gamgui_path="system"' in line


def test_a_command_of_the_callers_has_them() -> None:
    assert of_command(ENV, {"ENV": "own"})["LD_PRELOAD"] == ENV["LD_PRELOAD"]
