"""Exec as the official client does it, where it is installed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from tests.support.client import Json


class Kubectl:
    """Runs commands in one session's pod with ``kubectl exec``.

    Args:
        kubeconfig: Names the cluster.
        home: Where it keeps its caches.
        session: The session as JSON; names the pod.
    """

    def __init__(self, kubeconfig: str, home: Path, session: Json) -> None:
        self._program = shutil.which("kubectl")
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": kubeconfig}
        self._pod = ("-n", session["namespace"], session["pod_name"])

    @property
    def installed(self) -> bool:
        """Whether there is one on this machine."""
        return self._program is not None

    async def run(self, argv: list[str], stdin: Path | None = None) -> float:
        """Runs a command and throws its output away.

        Args:
            argv: The command.
            stdin: A file that is its input; None: it has none.

        Returns:
            Seconds until it ended.

        Raises:
            RuntimeError: It did not end with success.
        """
        assert self._program is not None, "installed"
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(stdin.open("rb")) if stdin else subprocess.DEVNULL
            started = time.perf_counter()
            process = await asyncio.create_subprocess_exec(
                *(self._program, "exec", *(("-i",) if stdin else ()), *self._pod, "--", *argv),
                stdin=source,
                stdout=subprocess.DEVNULL,
                env=self._environment,
            )
            code = await process.wait()
        elapsed = time.perf_counter() - started
        if code != 0:
            raise RuntimeError(f"kubectl exec ended with {code}")
        return elapsed
