"""The map of functions in Terraform is what is in functions/, and tells them what Settings read."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import yaml

from local.gateway import Function, load_functions
from shared.settings import Settings
from shared.web.http.routing import AnyRoute, Route
from tests.support.laptop import ROOT
from tests.support.terraform import PLATFORM, blocks, functions, local_values

FRAMEWORK = {"FUNCTION_TARGET", "FUNCTION_SOURCE"}


def route_text(route: AnyRoute) -> str:
    assert isinstance(route, Route), f"{route.path}: say here what the load balancer has for a WebSocket"
    path = re.sub(r"\{(\w+)\}$", r"{\1=**}", route.path_format) if route.rest else route.path_format
    return f"{route.method} {path}"


def entry(function: Function) -> str:
    routes = json.dumps([route_text(route) for route in function.routes])
    return f"    {function.name} = {{\n      routes = {routes}\n    }}"


def test_every_function_in_the_code_has_its_service() -> None:
    known = functions(PLATFORM)
    missing = [function for function in load_functions() if function.name not in known]
    assert not missing, (
        'Add to the default of variable "functions" in infra/terraform/platform/variables.tf '
        "(caller, memory, timeout_seconds and so on where the defaults do not fit), "
        "and run terraform fmt:\n" + "\n".join(entry(function) for function in missing)
    )


def test_every_service_has_a_function_in_the_code() -> None:
    code = {function.name for function in load_functions()}
    extra = set(functions(PLATFORM)) - code
    assert not extra, f"There is no functions/<name>/main.py for: {sorted(extra)}"


def test_the_routes_are_those_of_the_code() -> None:
    known = functions(PLATFORM)
    for function in load_functions():
        routes = known.get(function.name, {}).get("routes", [])
        assert sorted(routes) == sorted(route_text(route) for route in function.routes), (
            f"routes of {function.name} in variables.tf differ from functions/{function.name}/main.py; "
            f"it should be:\n{entry(function)}"
        )


def test_a_parameter_is_a_whole_segment_of_its_path() -> None:
    """The load balancer's path templates know no other
    (https://cloud.google.com/load-balancing/docs/url-map-concepts#wildcards-regx-dynamic-route)."""
    for function in load_functions():
        for route in function.routes:
            parts = [part for part in route.path_format.split("/") if "{" in part]
            assert all(re.fullmatch(r"\{\w+\}", part) for part in parts), route.path_format


def test_what_needs_no_caller_is_not_for_clients() -> None:
    """Their IAM check is all that stands before them, and with access = token clients have none."""
    known = functions(PLATFORM)
    for function in load_functions():
        if any(route.public for route in function.routes):
            assert known[function.name].get("caller") == "operator", function.name


def test_a_function_with_roles_in_the_cluster_may_connect_to_it() -> None:
    source = ROOT / "infra" / "kubernetes" / "functions.yaml"
    roles = yaml.safe_load(source.read_text()) if source.exists() else {"create_session": ["all"]}
    known = functions(PLATFORM)
    for name in (name for name, given in roles.items() if given):
        assert known[name].get("cluster", True), f"{name} needs cluster = true"


def test_environment_variables_are_settings() -> None:
    values = local_values(PLATFORM)
    own: str = values["own_environment"]
    names = set(values["environment"]) | set(re.findall(r"\b([A-Z][A-Z0-9_]+) = ", own))
    settings = {field.metadata["env"] for field in dataclasses.fields(Settings)}
    assert "AUTH_AUDIENCE" in names
    assert names - settings - FRAMEWORK == set()


def test_required_settings_are_there() -> None:
    values = local_values(PLATFORM)
    own: str = values["own_environment"]
    for name in ("AUTH_MODE", "AUTH_AUDIENCE", *FRAMEWORK):
        assert f"{name} = " in own
    plain = values["environment"]
    assert plain["SESSION_STORE"] == "firestore"
    assert plain["GKE_ENDPOINT"] == "dns"
    assert {"GKE_CLUSTER_NAME", "GKE_CLUSTER_LOCATION", "K8S_NAMESPACE"} <= set(plain)


def test_operators_cannot_set_whom_a_function_trusts() -> None:
    [validation] = blocks(PLATFORM, "variable")["settings"]["validation"]
    allowed = re.compile(_pattern(validation["condition"]))
    refused = [
        *(
            "AUTH_MODE",
            "AUTH_AUDIENCE",
            "AUTH_KEYS_URL",
            "ALLOWED_DOMAINS",
            "KUBECONFIG",
            "KUBECONFIG_BASE64",
        ),
        *("GKE_API_ENDPOINT", "K_SERVICE", "K8S_NAMESPACE", "FIRESTORE_DATABASE", "FIRESTORE_EMULATOR_HOST"),
        *("FUNCTION_TARGET", "USE_MOCK_CONTAINER_ADAPTER", "SQLITE_PATH", "HOME", "PATH"),
    ]
    assert [name for name in refused if allowed.fullmatch(name)] == []
    for name in ("SESSION_TTL_SECONDS", "MAX_FILE_BYTES", "K8S_POD_TEMPLATE", "JOB_DISK_BYTES"):
        assert allowed.fullmatch(name), name


def _pattern(condition: Any) -> str:
    found = re.search(r'regex\("\^(.*?)\$", name\)', condition)
    assert found is not None, condition
    return found.group(1)
