"""``python -m shared.app.serve``: serves one function, as ``functions-framework --asgi`` does.

That program gives no way to say how long an idle connection is kept. Its server, gunicorn, keeps one for two
seconds. A client or a proxy that keeps it for longer sends its next request into a connection that is just
being closed, and a POST must not be sent again.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from functions_framework._http.gunicorn import UvicornApplication
    from starlette.types import ASGIApp

KEEP_ALIVE_SECONDS = 620
"""How long an idle connection is kept: longer than any client of ours keeps one.

Google's front ends keep theirs for 600 s
(https://cloud.google.com/load-balancing/docs/https#timeout-keepalive-backends asks for 620), Go's clients for
90 s, aiohttp's for 15 s.
"""


def application(target: str, source: str | None, host: str, port: int) -> UvicornApplication:
    """The server of a function, which does not run yet.

    Args:
        target: Name of the function in its file.
        source: Path of the file; None: ``main.py`` in the working folder.
        host: Address to listen at.
        port: Port to listen at.
    """
    # Not for whoever takes only the number from here.
    from functions_framework._http.gunicorn import UvicornApplication
    from functions_framework.aio import create_asgi_app

    make: Callable[..., ASGIApp] = create_asgi_app
    serve: Callable[..., UvicornApplication] = UvicornApplication
    return serve(make(target, source, "http"), host, port, debug=False, keepalive=KEEP_ALIVE_SECONDS)


def main() -> None:
    """Serves the function that the arguments, or the variables of Cloud Run's functions, name."""
    told = argparse.ArgumentParser(description="Serves one function.")
    told.add_argument("--target", default=os.environ.get("FUNCTION_TARGET"))
    told.add_argument("--source", default=os.environ.get("FUNCTION_SOURCE"))
    told.add_argument("--host", default=os.environ.get("HOST") or "0.0.0.0")  # noqa: S104 - a container
    told.add_argument("--port", type=int, default=os.environ.get("PORT") or "8080")
    arguments = told.parse_args()
    if not arguments.target:
        told.error("no function: --target or FUNCTION_TARGET names it")
    application(arguments.target, arguments.source, arguments.host, arguments.port).run()


if __name__ == "__main__":
    main()
