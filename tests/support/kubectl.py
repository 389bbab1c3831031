"""kubectl, as the judge of what a kubeconfig means."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from typing import Any

import pytest

needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None and os.environ.get("REQUIRE_KUBECTL") != "1",
    reason="kubectl is not installed",
)


async def kubectl(kubeconfig: str, *arguments: str) -> tuple[int, str, str]:
    """Runs kubectl: exit status, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        "kubectl",
        *arguments,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "KUBECONFIG": kubeconfig},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return process.returncode or 0, output.decode(), errors.decode()


async def merged(kubeconfig: str) -> Any:
    """The configuration as kubectl reads it, None if it refuses it."""
    status, output, _ = await kubectl(kubeconfig, "config", "view", "--raw", "-o", "json")
    return json.loads(output) if status == 0 else None
