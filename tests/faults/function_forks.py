"""Functions in processes of their own, each forked from this one, which has imported everything.

To start an interpreter for each would take longer than all that the tests do with them. Reads
lines of JSON: ``function``, ``environment``, and the ``gate`` of its store. Each is answered with
the process id and the port on which the function serves, as functions-framework does.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from typing import Any

import functions_framework.aio
import uvicorn

import shared.core.cleanup.service
import shared.kube.api.client
import shared.kube.connect.connector
import shared.kube.credentials.copying
import shared.kube.jobs.runtime
import shared.kube.pods.activity
import shared.kube.pods.inventory
import shared.kube.pods.runtime
import shared.store.sqlite.engine
import shared.web.api.cleanup
import shared.web.api.credentials  # noqa: F401
from shared.app.composition import app
from shared.app.serve import KEEP_ALIVE_SECONDS
from tests.faults.gate import guarded


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who is killed leaves no zombie
    _say("ready")
    for line in sys.stdin:
        listener = socket.create_server(("127.0.0.1", 0))
        child = os.fork()
        if child == 0:
            try:
                _serve(json.loads(line), listener)
            finally:
                os._exit(1)
        port = listener.getsockname()[1]
        listener.close()
        _say(json.dumps({"pid": child, "port": port}))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _serve(told: dict[str, Any], listener: socket.socket) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(told["environment"])
    function = told["function"]
    application = functions_framework.aio.create_asgi_app(  # type: ignore[no-untyped-call] # it has no annotations
        target=function, source=f"functions/{function}/main.py", signature_type="http"
    )
    services = app()
    services.__dict__["engine"] = guarded(services.engine, told["gate"])
    config = uvicorn.Config(
        application, log_level="warning", lifespan="off", timeout_keep_alive=KEEP_ALIVE_SECONDS
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
