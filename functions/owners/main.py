"""Administrators' routes for an e-mail address that is given to another person."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from shared.app.composition import app
from shared.web.function import Call, Entry, Route


async def remove(call: Call) -> Response:
    """Removes the credentials that are stored under the address."""
    from shared.web.api.owners import owner_of, removed_json

    # The service checks this too; checked first, a stranger learns nothing about addresses and bodies.
    app().access.require_administrator(call.caller)
    owner = owner_of(call.params)
    return JSONResponse(removed_json(owner, await app().owners.remove_credentials(call.caller, owner)))


async def rebind(call: Call) -> Response:
    """Passes everything that was made under the address on to the person who has it now."""
    from shared.web.api.owners import owner_of, passed_on_json, subject_of

    app().access.require_administrator(call.caller)
    owner, subject = owner_of(call.params), subject_of(await call.json_body())
    return JSONResponse(
        passed_on_json(owner, subject, await app().owners.rebind(call.caller, owner, subject))
    )


ROUTES = [
    Route("DELETE", "/v1/owners/{email}/credentials", remove),
    Route("POST", "/v1/owners/{email}/rebind", rebind),
]
ENTRY = Entry(app, ROUTES, "owners")
owners = ENTRY.function()
"""The Cloud Run function."""
