"""GET /healthz, /readyz and /v1/status: alive, able to work, and how it is set up."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from shared.app.composition import app
from shared.web.function import Call, Entry, Route


async def healthz(call: Call) -> Response:
    """Alive: asks nobody else."""
    return JSONResponse({"status": "ok"})


async def readyz(call: Call) -> Response:
    """Able to work: store and cluster answer; says how fast, and if not, why."""
    from shared.app.readiness import readiness

    report = await readiness(app())
    return JSONResponse(report, status_code=200 if report["status"] == "ok" else 503)


async def status(call: Call) -> Response:
    """How this instance is set up."""
    from shared.app.readiness import status as report

    return JSONResponse(await report(app()))


ENTRY = Entry(
    app,
    [
        Route("GET", "/healthz", healthz, public=True),
        Route("GET", "/readyz", readyz, public=True),
        Route("GET", "/v1/status", status, public=True),
    ],
    "health",
)
health = ENTRY.function()
"""The Cloud Run function."""
