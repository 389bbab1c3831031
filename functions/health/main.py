"""GET /healthz, /readyz and /v1/status: whether the instance is alive and able to work, and its setup."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from shared.app.composition import app
from shared.web.function import Call, Entry, Route


async def healthz(call: Call) -> Response:
    """Says that the instance is alive, without asking store or cluster."""
    return JSONResponse({"status": "ok"})


async def readyz(call: Call) -> Response:
    """Says whether store and cluster answer, how fast, and if they do not, why."""
    from shared.app.readiness import readiness

    report = await readiness(app())
    return JSONResponse(report, status_code=200 if report["status"] == "ok" else 503)


async def status(call: Call) -> Response:
    """Answers with the setup of this instance."""
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
