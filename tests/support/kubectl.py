"""kubectl, as the judge of what a kubeconfig means."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from tests.support.needs import kubectl_path, needs

needs_kubectl = needs("kubectl")


async def kubectl(kubeconfig: str, *arguments: str) -> tuple[int, str, str]:
    """Runs kubectl: exit status, stdout and stderr."""
    program = kubectl_path()
    assert program is not None, "tests that ask for kubectl are marked so"
    process = await asyncio.create_subprocess_exec(
        program,
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
