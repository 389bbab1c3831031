"""openapi.yaml says what the code does: paths, request bodies, answers, reasons, events."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import yaml

from shared.core.credentials.model import NAMES, checked_file
from shared.core.jobs.model import JobState
from shared.core.sessions.model import Resources, Session, SessionState
from shared.errors import GamguiError
from shared.reasons import Reason
from shared.settings.variables import variables
from shared.web.api.commands import ExecBody, ExecOptions, JobBody
from shared.web.api.credentials import file_json
from shared.web.api.jobs import job_json
from shared.web.api.sessions import session_json
from shared.web.http.problems import problem
from shared.web.http.schemas import CreateSessionBody
from tests.shared.store.samples import a_job
from tests.support.gateway_process import ROOT

DOCUMENT: dict[str, Any] = yaml.load((ROOT / "openapi.yaml").read_text(), Loader=yaml.CSafeLoader)
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
OPERATIONS = {
    (method.upper(), path): operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method in METHODS
}


def resolved(node: Any) -> Any:
    """The node itself, or what its ``$ref`` names."""
    while isinstance(node, dict) and "$ref" in node:
        target: Any = DOCUMENT
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def validator(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """A validator of a schema of the description."""
    return jsonschema_rs.Draft202012Validator(
        {**schema, "components": DOCUMENT["components"]}, validate_formats=True
    )


def function_modules() -> Iterator[tuple[str, ModuleType]]:
    for source in sorted((ROOT / "functions").glob("*/main.py")):
        spec = importlib.util.spec_from_file_location(f"described_{source.parent.name}", source)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield source.parent.name, module


ROUTES = {
    (route.method, route.path_format): route
    for _, module in function_modules()
    for route in module.ENTRY.routes
}


def test_the_functions_serve_exactly_the_operations_described() -> None:
    assert set(ROUTES) == set(OPERATIONS)


@pytest.mark.parametrize(("method", "path"), sorted(OPERATIONS))
def test_an_operation_asks_for_credentials_exactly_if_its_route_does(method: str, path: str) -> None:
    public = OPERATIONS[method, path].get("security") == []
    assert public is ROUTES[method, path].public
    assert ("401" in OPERATIONS[method, path]["responses"]) is not public


@pytest.mark.parametrize(("method", "path"), sorted(OPERATIONS))
def test_a_paths_parameters_are_described(method: str, path: str) -> None:
    declared = [
        resolved(parameter)
        for parameter in [
            *DOCUMENT["paths"][path].get("parameters", []),
            *OPERATIONS[method, path].get("parameters", []),
        ]
    ]
    in_path = {parameter["name"] for parameter in declared if parameter["in"] == "path"}
    assert in_path == set(re.findall(r"\{(\w+)\}", path))


@pytest.mark.parametrize(("method", "path"), sorted(OPERATIONS))
def test_every_answer_carries_the_request_id_and_every_error_is_a_problem(method: str, path: str) -> None:
    for status, answer in OPERATIONS[method, path]["responses"].items():
        described = resolved(answer)
        assert "X-Request-Id" in described["headers"], status
        if int(status) >= 400 and path != "/readyz":
            assert list(described["content"]) == ["application/problem+json"], status


def test_every_operation_has_a_name_of_its_own_a_summary_and_a_description() -> None:
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(names)) == len(names)
    for operation in OPERATIONS.values():
        assert operation["summary"]
        assert operation["description"]


def _without_nulls(schema: dict[str, Any]) -> dict[str, Any]:
    """``anyOf: [X, null]`` as ``X`` with two types."""
    choices = schema.get("anyOf", [])
    if {"type": "null"} in choices and len(choices) == 2:
        other = next(choice for choice in choices if choice != {"type": "null"})
        return {**other, "type": [other["type"], "null"], "default": schema.get("default")}
    return schema


def assert_described(theirs: dict[str, Any], ours: dict[str, Any], defs: dict[str, Any], where: str) -> None:
    """What msgspec checks is in the description, with the same bounds; it may say more.

    Args:
        theirs: From msgspec.
        ours: From openapi.yaml.
        defs: msgspec's definitions.
        where: For the message.
    """
    if "$ref" in theirs:
        theirs = {**defs[theirs["$ref"].rpartition("/")[2]], **theirs}
    theirs, ours = _without_nulls(theirs), resolved(ours)
    for keyword, value in theirs.items():
        if keyword in ("title", "description", "$ref", "$defs"):
            continue
        if keyword == "properties":
            assert set(value) == set(ours["properties"]), where
            for name, schema in value.items():
                assert_described(schema, ours["properties"][name], defs, f"{where}.{name}")
        elif keyword == "anyOf":
            assert len(value) == len(ours["anyOf"]), where
            for number, schema in enumerate(value):
                assert_described(schema, ours["anyOf"][number], defs, f"{where}|{number}")
        elif keyword in ("items", "propertyNames", "additionalProperties") and isinstance(value, dict):
            assert_described(value, ours[keyword], defs, f"{where}.{keyword}")
        elif keyword == "pattern":
            # In ECMA 262 a $ is the very end, in Python it is not.
            assert value.removesuffix(r"(?!\n)") == ours["pattern"], where
        elif keyword == "required":
            assert sorted(value) == sorted(ours.get("required", [])), where
        elif not (keyword == "type" and "type" not in ours and where.endswith("propertyNames")):
            assert ours[keyword] == value, f"{where}: {keyword}"


@pytest.mark.parametrize(
    ("shape", "name"), [(CreateSessionBody, "CreateSession"), (ExecBody, "ExecCommand"), (JobBody, "NewJob")]
)
def test_a_request_body_is_described_as_it_is_checked(shape: type[msgspec.Struct], name: str) -> None:
    checked = msgspec.json.schema(shape)
    assert_described({"$ref": checked["$ref"]}, SCHEMAS[name], checked["$defs"], name)


def test_execs_query_is_described_as_it_is_checked() -> None:
    checked = msgspec.json.schema(ExecOptions)["$defs"]["ExecOptions"]["properties"]
    parameters = OPERATIONS["POST", "/v1/sessions/{session_id}/exec"]["parameters"]
    described = {one["name"]: one["schema"] for one in parameters if one.get("in") == "query"}
    assert set(described) == set(checked)
    assert_described(checked["command"]["anyOf"][1], described["command"], {}, "command")
    assert_described(
        checked["timeout_seconds"]["anyOf"][0], described["timeout_seconds"], {}, "timeout_seconds"
    )
    assert_described(
        {**checked["workdir"], "default": None}, {**described["workdir"], "default": None}, {}, "workdir"
    )
    assert described["env"]["maxItems"] == checked["env"]["maxProperties"]


def a_session(**changes: Any) -> Session:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    session = Session(
        id="s5m2qj7xk3vdw4hzy",
        owner="alice@example.com",
        name="Clean-up",
        state=SessionState.FAILED,
        image="registry.example.com/gam:7",
        resources=Resources("500m", "512Mi"),
        labels={"team": "it"},
        credentials_choice=("oauth2.txt",),
        cluster="europe",
        namespace="gamgui",
        pod_name="gam-s5m2qj7xk3vdw4hzy",
        created_at=now,
        last_used_at=now,
        expires_at=now,
        idle_seconds=60,
        ready_at=now,
        deleted_at=now,
        reason="NotFound: the pod is gone",
        virtual=True,
    )
    return dataclasses.replace(session, **changes)


def test_a_session_is_described_member_by_member() -> None:
    described = SCHEMAS["Session"]
    assert set(session_json(a_session())) == set(described["properties"])
    nothing: dict[str, Any] = {
        "credentials_choice": None,
        "ready_at": None,
        "deleted_at": None,
        "reason": None,
        "virtual": False,
    }
    least = session_json(a_session(**nothing, state=SessionState.DELETED))
    assert set(least) == set(described["required"])
    for shown in (session_json(a_session()), least):
        validator(described).validate(json.loads(json.dumps(shown)))
    assert SCHEMAS["SessionState"]["enum"] == list(SessionState)


def test_each_example_of_a_credential_file_is_one_that_is_kept() -> None:
    body = OPERATIONS["PUT", "/v1/credentials/{file}"]["requestBody"]["content"]["application/json"]
    examples = {example["summary"]: example["value"] for example in body["examples"].values()}
    assert tuple(sorted(examples)) == tuple(SCHEMAS["CredentialFileName"]["enum"]) == NAMES
    for name, content in examples.items():
        kept = checked_file(name, json.dumps(content).encode(), datetime.now(UTC))
        validator(SCHEMAS["CredentialFile"]).validate(json.loads(json.dumps(file_json(kept))))


def test_a_job_is_described_member_by_member() -> None:
    described = SCHEMAS["Job"]
    job = a_job(session_id="s5m2qj7xk3vdw4hzy")
    assert list(job_json(job)) == list(described["properties"]) == described["required"]
    for shown in (job_json(job), job_json(dataclasses.replace(job, command="gam info domain"))):
        validator(described).validate(json.loads(json.dumps(shown)))
    assert SCHEMAS["JobState"]["enum"] == list(JobState)


def test_a_problem_is_described() -> None:
    validator(SCHEMAS["Problem"]).validate(problem(GamguiError("x"), instance="/a%20b", request_id="1"))


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_schema_is_valid_and_its_references_lead_somewhere(name: str) -> None:
    jsonschema_rs.meta.validate(SCHEMAS[name])
    validator({"$ref": f"#/components/schemas/{name}"})


def _contents(node: Any, where: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every media type object of the description."""
    if isinstance(node, dict):
        for media_type, content in node.get("content", {}).items():
            yield f"{where}/{media_type}", media_type, content
        for key, value in node.items():
            yield from _contents(value, f"{where}/{key}")


CONTENTS = list(_contents({"paths": DOCUMENT["paths"], "responses": DOCUMENT["components"]["responses"]}, ""))


def _examples(content: dict[str, Any]) -> list[Any]:
    named = [resolved(example)["value"] for example in content.get("examples", {}).values()]
    return named + ([content["example"]] if "example" in content else [])


@pytest.mark.parametrize(
    ("media_type", "content"), [entry[1:] for entry in CONTENTS], ids=[entry[0] for entry in CONTENTS]
)
def test_examples_are_what_their_schemas_say(media_type: str, content: dict[str, Any]) -> None:
    schema = validator(content["schema"])
    for example in _examples(content):
        schema.validate(example)
    if "x-item-schema" in content:
        event = validator(content["x-item-schema"])
        lines = [line for line in content["example"].splitlines() if "{" in line]
        for line in lines:
            event.validate(json.loads(line.removeprefix("data: ")))
        assert json.loads(lines[-1].removeprefix("data: "))["type"] == "exit"


# Reasons.


def _documented() -> set[str]:
    found = set(SCHEMAS["OperatorReason"]["x-known-reasons"])

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            reason = node.get("reason")
            if isinstance(reason, dict):
                found.update(reason.get("enum", []), [reason["const"]] if "const" in reason else [])
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(DOCUMENT)
    return found


_CODE = re.compile(r"[A-Z][A-Z0-9]+(_[A-Z0-9]+)+")
# Google's, Kubernetes' and POSIX' own words, which our code compares with or passes on.
_NO_REASONS = {
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
    "FUNCTION_SOURCE",
    "FUNCTION_TARGET",
    "KUBERNETES_EXEC_INFO",
    "LC_ALL",
    "SERVICE_DISABLED",
}
_VARIABLES = {variable.name for variable in variables()}
_SOURCES = [
    source
    for folder in ("shared", "functions", "server")
    for source in sorted((ROOT / folder).rglob("*.py"))
    if source != ROOT / "shared/reasons.py"
]


def _error_classes(base: type[GamguiError] = GamguiError) -> Iterator[type[GamguiError]]:
    yield base
    for one in base.__subclasses__():
        yield from _error_classes(one)


def reasons_in(folder: str) -> set[str]:
    """The reasons that the modules in one folder of ``shared/`` name; empty: all."""
    return {
        node.attr
        for source in _SOURCES
        if source.is_relative_to(ROOT / "shared" / folder)
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason"
    }


def test_the_reasons_described_are_those_that_there_are() -> None:
    assert _documented() == {str(reason) for reason in Reason}
    assert {reason.name for reason in Reason} == {str(reason) for reason in Reason}


def test_the_code_gives_every_reason() -> None:
    assert {reason.name for reason in Reason} - reasons_in("") == set()


def test_no_reason_is_written_as_a_text() -> None:
    """Only a member of ``Reason`` is found by a type checker when it is misspelt."""
    written = {
        (str(source.relative_to(ROOT)), node.value)
        for source in _SOURCES
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if _CODE.fullmatch(node.value) or node.value in set(Reason)
    }
    assert {(where, code) for where, code in written if code not in _VARIABLES | _NO_REASONS} == set()


def test_an_error_s_reason_is_a_member() -> None:
    assert all(isinstance(one.default_reason, Reason) for one in _error_classes())


def test_every_status_of_an_error_is_described() -> None:
    described = {int(status) for operation in OPERATIONS.values() for status in operation["responses"]}
    assert {one.status for one in _error_classes()} <= described
