"""A program on PATH that stands in for one that talks to a cloud: notes how it is called, and answers.

Its answers are rules, tried in order: the first whose words all occur in the arguments decides what it
prints and how it exits. Without a rule it prints nothing and succeeds.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_PROGRAM = """#!{python}
import json, os, sys
arguments = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps(arguments) + "\\n")
for rule in json.loads({rules!r}):
    if all(any(word in argument for argument in arguments) for word in rule["words"]):
        sys.stdout.write(rule["output"])
        sys.exit(rule["code"])
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """What the program answers to arguments in which these words occur."""

    words: Sequence[str]
    output: str = ""
    code: int = 0


class StubProgram:
    """The program.

    Args:
        folder: Takes it and its notes; empty.
        name: What it is called.
        rules: Its answers.
    """

    def __init__(self, folder: Path, name: str, rules: Sequence[Rule] = ()) -> None:
        self._log = folder / "calls"
        self._log.touch()
        self._folder = folder
        text = json.dumps([dataclasses.asdict(rule) for rule in rules])
        program = folder / name
        program.write_text(_PROGRAM.format(python=sys.executable, log=str(self._log), rules=text))
        program.chmod(0o755)

    def environment(self, **variables: str) -> Mapping[str, str]:
        """An environment in which it is found first."""
        return {"PATH": f"{self._folder}:{os.environ['PATH']}", **variables}

    def calls(self) -> list[list[str]]:
        """The arguments of every call so far; calls made at once come in any order."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]
