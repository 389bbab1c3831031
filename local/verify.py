"""``scripts/verify URL``: runs the demo's client against a deployment.

python -m local.verify URL    with ID_TOKEN in the environment, unless the URL is the laptop's
"""

from __future__ import annotations

import asyncio
import os
import sys

import aiohttp
from starlette.routing import Match

from local.demo import Demo, StepFailed
from server.functions import load_functions

_REQUEST_SECONDS = 120.0
_OWNER = "admin@example.com"


class Deployment:
    """The addresses of a deployment's functions.

    Args:
        url: One address for all functions, or a pattern with ``{function}``, which stands for a function's
            name with ``-`` in place of ``_``.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._functions = load_functions() if "{function}" in url else []

    def url_of(self, method: str, path: str) -> str:
        """The URL that serves a method and a path.

        Raises:
            StepFailed: No function serves this method and path.
        """
        if not self._functions:
            return self._url + path
        scope = {"type": "http", "method": method, "path": path}
        for function in self._functions:
            if any(route.matches(scope)[0] is Match.FULL for route in function.routes):
                return self._url.replace("{function}", function.name.replace("_", "-")) + path
        raise StepFailed(f"no function serves {method} {path}")


def headers(token: str) -> dict[str, str]:
    """The headers that prove who calls.

    Cloud Run checks a token in Authorization itself and removes the signature from it. So the token for that
    check goes into another header, beside the one for the function:
    https://cloud.google.com/run/docs/authenticating/service-to-service.

    Args:
        token: An ID token; empty for the laptop edition.
    """
    if not token:
        return {"X-Dev-User": _OWNER}
    return {"Authorization": f"Bearer {token}", "X-Serverless-Authorization": f"Bearer {token}"}


async def main(url: str, token: str) -> int:
    """Runs all steps.

    Returns:
        The exit code.
    """
    timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
    async with aiohttp.ClientSession(headers=headers(token), timeout=timeout) as http:
        try:
            await Demo(http, Deployment(url).url_of).run()
        except (StepFailed, aiohttp.ClientError, TimeoutError) as failure:
            print(f"FAILED: {failure!r}", file=sys.stderr)
            return 1
    print("All steps gave what they should.")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], os.environ.get("ID_TOKEN", ""))))
