"""The list of functions is what is in functions/, and Terraform tells them what Settings read."""

from __future__ import annotations

import re
from typing import Any

from server.functions import function_list, load_functions
from shared.settings.variables import variables
from shared.web.http.routing import AnyRoute, Route
from tests.support.laptop import ROOT
from tests.support.terraform import PLATFORM, blocks, local_values

FRAMEWORK = {"FUNCTION_TARGET", "FUNCTION_SOURCE"}


def route_text(route: AnyRoute) -> str:
    assert isinstance(route, Route), f"{route.path}: say here what the load balancer has for a WebSocket"
    path = re.sub(r"\{(\w+)\}$", r"{\1=**}", route.path_format) if route.rest else route.path_format
    return f"{route.method} {path}"


def test_every_folder_is_in_the_list_and_the_other_way_round() -> None:
    folders = {source.parent.name for source in (ROOT / "functions").glob("*/main.py")}
    assert set(function_list()) == folders, "functions/functions.yaml needs an entry for every function"


def test_every_function_says_what_it_answers_and_what_it_may_do_in_the_cluster() -> None:
    for name, listed in function_list().items():
        assert listed["answer"] and isinstance(listed["roles"], list), name


def test_there_is_nothing_in_the_list_that_nobody_reads() -> None:
    """Terraform drops what it does not know: a misspelt memory would be the default one."""
    typed = blocks(PLATFORM / "functions", "variable")["functions"]["type"]
    known = {"answer", "roles", *re.findall(r"(\w+) = (?:optional|list)\(", typed)}
    assert {"routes", "timeout_seconds", "command"} < known
    for name, listed in function_list().items():
        assert set(listed) <= known, name


def test_the_routes_are_those_of_the_code() -> None:
    known = function_list()
    for function in load_functions():
        routes = known[function.name]["routes"]
        assert sorted(routes) == sorted(route_text(route) for route in function.routes), (
            f"routes of {function.name} in functions.yaml differ from functions/{function.name}/main.py"
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
    known = function_list()
    for function in load_functions():
        if any(route.public for route in function.routes):
            assert known[function.name].get("caller") == "operator", function.name


def test_a_function_with_roles_in_the_cluster_may_connect_to_it() -> None:
    for name, listed in function_list().items():
        if listed["roles"]:
            assert listed.get("cluster", True), f"{name} needs cluster: true"


def test_environment_variables_are_settings() -> None:
    values = local_values(PLATFORM)
    own: str = values["own_environment"]
    names = set(values["environment"]) | set(re.findall(r"\b([A-Z][A-Z0-9_]+) = ", own))
    settings = {variable.name for variable in variables()}
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
