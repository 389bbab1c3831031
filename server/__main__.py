"""``python -m server``: serves all functions at 127.0.0.1, PORT or 8080. The environment has the settings."""

from __future__ import annotations

import asyncio
import os
import sys

from server.functions import load_functions
from server.gateway import Gateway
from server.serving import listen, serve
from shared.app.composition import app
from shared.errors import GamguiError


async def main() -> int:
    """Serves until the process is told to end.

    Returns:
        The exit code.
    """
    try:
        gateway = Gateway(load_functions(), app())
        listener = listen(os.environ.get("PORT") or "8080")
    except GamguiError as error:
        print(f"{error.reason}: {error.detail}", file=sys.stderr)
        return 2
    print(f"GAMGUI session functions: http://localhost:{listener.getsockname()[1]}", flush=True)
    await serve(gateway, listener)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
