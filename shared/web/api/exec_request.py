"""Reads what a request asks to run: all of it as JSON, or the input as body and the rest as query."""

from __future__ import annotations

import urllib.parse
from collections.abc import Sequence

from shared.core.commands import Command
from shared.errors import InvalidRequest
from shared.reasons import Reason
from shared.settings.commands import CommandSettings
from shared.web.api.commands import ExecBody, ExecOptions
from shared.web.http.call import Call
from shared.web.http.request_body import RequestBody
from shared.web.http.schemas import checked, decode

_JSON = "application/json"
_BYTES = "application/octet-stream"
_ONCE = ("timeout_seconds", "workdir")


async def read_command(call: Call, body: RequestBody, commands: CommandSettings) -> Command:
    """Reads the request. If its body is the command's input, ``body`` hands it on.

    Args:
        call: The request.
        body: Hands the input on in pieces while the request is answered.
        commands: Default and upper bound of the time.

    Raises:
        InvalidRequest: A value breaks a rule; the error names the field.
        UnsupportedMediaType: The body is neither JSON nor octets, or is compressed.
        PayloadTooLarge: The body is JSON and longer than 1 MiB.
    """
    query: bytes = call.request.scope["query_string"]
    if call.media_type(_JSON, _BYTES) == _BYTES:
        return query_options(query).with_stdin(body.pieces(), commands)
    if query:
        raise InvalidRequest(f"a query goes with {_BYTES} only", reason=Reason.UNKNOWN_FIELD)
    return decode(await call.json_body(), ExecBody).to_command(commands)


def query_options(query: bytes) -> ExecOptions:
    """Reads the query: ``command`` once for a shell line, several times for program and arguments.

    Args:
        query: The query as it stands in the URL, percent-encoded UTF-8.

    Raises:
        InvalidRequest: A parameter is malformed, unknown, missing, or given twice where once is allowed.
    """
    try:
        pairs = urllib.parse.parse_qsl(query.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as error:
        raise InvalidRequest("the query is not UTF-8", reason=Reason.INVALID_FIELD) from error
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    for name in _ONCE:
        if len(given.get(name, ())) > 1:
            raise InvalidRequest(f"{name} is given more than once", reason=Reason.INVALID_FIELD, field=name)
    fields: dict[str, object] = {
        name: values[0] if len(values) == 1 else values for name, values in given.items()
    }
    if "env" in given:
        fields["env"] = _variables(given["env"])
    if "timeout_seconds" in given:
        fields["timeout_seconds"] = _number(given["timeout_seconds"][0])
    return checked(fields, ExecOptions)


def _number(text: str) -> float | str:
    """The number, or the text itself: it will be refused for its type."""
    try:
        return float(text)
    except ValueError:
        return text


def _variables(assignments: Sequence[str]) -> dict[str, str]:
    variables: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise InvalidRequest("env is not NAME=value", reason=Reason.INVALID_FIELD, field="env")
        if name in variables:
            raise InvalidRequest("env sets a variable twice", reason=Reason.INVALID_FIELD, field="env")
        variables[name] = value
    return variables
