"""docs/operations.md names only what exists, and all reasons for which an operator is needed."""

from __future__ import annotations

import io
import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from shared.core.audit.log import log_record
from shared.core.audit.model import AuditRecord
from shared.settings.variables import variables
from shared.web.http import logs
from shared.web.http.call import Call
from shared.web.http.routing import Route
from tests.openapi.test_description import ROUTES, reasons_in
from tests.support.gateway_process import ROOT
from tests.support.web_app import ask, raising, serving

DOCUMENT = (ROOT / "docs" / "operations.md").read_text()
NAMES = set(re.findall(r"`([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)`", DOCUMENT))
SETTINGS = {variable.name for variable in variables()}
# Read by OpenTelemetry's SDK.
THEIRS = {"OTEL_METRIC_EXPORT_INTERVAL", "OTEL_BSP_SCHEDULE_DELAY", "OTEL_TRACES_SAMPLER"}


def test_every_reason_and_setting_that_is_named_exists() -> None:
    assert NAMES - SETTINGS - THEIRS - reasons_in("") == set()


@pytest.mark.parametrize("folder", ["kube", "store"])
def test_every_reason_of_a_dependency_is_explained(folder: str) -> None:
    callers = {
        "COMMAND_TOO_LONG",  # the request's fault
        "INVALID_FIELD",
        "SESSION_EXISTS",  # never leaves the services
        "JOB_EXISTS",
    }
    assert reasons_in(folder) - callers - NAMES == set()


async def line() -> dict[str, Any]:
    """Everything that the log's entries can have, in one."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.CloudFormatter("p"))
    logger = logging.getLogger("gamgui")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        await _entries()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    found: dict[str, Any] = {}
    for entry in stream.getvalue().splitlines():
        found.update(json.loads(entry))
    return found


async def _entries() -> None:
    async def handler(call: Call) -> Response:
        return JSONResponse({})

    headers = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    routes = [
        Route("GET", "/v1/sessions/{session_id}", handler),
        Route("POST", "/v1/sessions/{session_id}", raising(ValueError())),
    ]
    for method in ("POST", "GET"):
        await ask(serving(routes), "/v1/sessions/s", method=method, headers=headers)
    record = AuditRecord(
        id="a1", at=datetime.now(UTC), actor="a", action="x", session_id="s", outcome="done", detail={}
    )
    log_record(record)


async def test_every_field_that_is_named_stands_in_our_entries() -> None:
    entry = await line()
    fields = set(re.findall(r"\bjsonPayload((?:\.\w+)+)", DOCUMENT))
    fields |= {f".httpRequest.{name}" for name in re.findall(r"\bhttpRequest\.(\w+)", DOCUMENT)}
    assert len(fields) > 8
    for field in fields:
        value: Any = entry
        for name in field.strip(".").split("."):
            assert name in value, field
            value = value[name]


async def test_the_entry_that_is_shown_has_the_fields_that_entries_have() -> None:
    shown = json.loads(next(text for text in DOCUMENT.splitlines() if text.startswith('{"severity"')))
    missing = set(shown) - set(await line())
    assert missing == set()


def test_every_request_that_is_named_is_served() -> None:
    paths = {re.sub(r"\{\w+\}", "X", path) for _, path in ROUTES}
    named = set(re.findall(r"`(?:GET|POST|PUT|DELETE) (/[^` ]*)`", DOCUMENT)) | set(
        re.findall(r"\$URL(/[^\s?\"]+)", DOCUMENT)
    )
    assert named
    assert {re.sub(r"\b(ID|ADDRESS)\b", "X", path.partition("?")[0]) for path in named} <= paths


def test_every_metric_that_is_named_is_made_and_every_one_made_is_named() -> None:
    source = (ROOT / "shared" / "telemetry" / "otel.py").read_text()
    made = set(re.findall(r'create_\w+\(\s*"([a-z._]+)"', source))
    rows = re.findall(r"^\| `([a-z_]+\.[a-z._]+)` \|(.*)\|$", DOCUMENT, re.MULTILINE)
    assert {name for name, _ in rows} == made
    attributes = {name for _, by in rows for name in re.findall(r"`(gamgui\.[a-z_.]+)`", by)}
    assert attributes
    assert {name for name in attributes if f'"{name}"' not in source} == set()
