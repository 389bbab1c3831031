"""Exec by the official client kubectl, where it is installed."""

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
        kubeconfig: The file that names the cluster.
        home: The folder for kubectl's caches.
        session: The session as JSON, which names the pod.
    """

    def __init__(self, kubeconfig: str, home: Path, session: Json) -> None:
        self._program = shutil.which("kubectl")
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": kubeconfig}
        self._pod = ("-n", session["namespace"], session["pod_name"])

    @property
    def installed(self) -> bool:
        """Whether kubectl is installed on this machine."""
        return self._program is not None

    async def run(self, argv: list[str], stdin: Path | None = None) -> float:
        """Runs a command and throws its output away.

        Args:
            argv: The command.
            stdin: A file with its input; None: no input.

        Returns:
            Seconds until the command ended.

        Raises:
            RuntimeError: The command failed.
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
