"""Sends what a recording sent, and gives our answer beside the recorded one."""

import json
from collections.abc import Callable
from typing import Any

from local.cluster import UNPRIVILEGED_USER

from .client import Answer, Client
from .normal import normal

Step = dict[str, Any]
Recording = Callable[[str], list[Step]]

_NOBODY = "fn@demo.iam.gserviceaccount.com"


def ours(steps: list[Step]) -> list[Step]:
    """Return recorded steps with the names of this cluster in place of the recorded cluster's."""
    text = json.dumps(steps).replace(_NOBODY, UNPRIVILEGED_USER)
    # The recorded user has an empty group besides, from the file of tokens.
    text = text.replace(r"(groups=[\"\" ", "(groups=[").replace('["n1"]', '["local"]')
    found: list[Step] = json.loads(text)
    return found


async def send(client: Client, step: Step, token: str | None = None) -> Answer:
    """Send a step's request."""
    request = step["request"]
    if token is None and "unprivileged" in request.get("as", ""):
        token = client.cluster.unprivileged_token
    body = request["body"]
    body = body.encode() if isinstance(body, str) else body
    return await client.request(
        request["method"], request["path"], body, content_type=request["content_type"], token=token
    )


async def replayed(client: Client, step: Step, token: str | None = None) -> tuple[Any, Any]:
    """Return our answer and the recorded one, both in normal form."""
    answer, recorded = await send(client, step, token), step["response"]
    return (
        (step["note"], answer.status, normal(answer.body)),
        (step["note"], recorded["status"], normal(recorded["body"])),
    )
