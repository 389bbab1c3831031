"""``make manifests``: prints the cluster's objects as YAML, for clusters that Terraform does not set up.

The objects are in the files of ``infra/kubernetes/``, which Terraform reads too. In these files ``${name}``
stands for a value, written as JSON, which is valid YAML. See docs/adr/0008-kubernetes-objects-in-yaml.md.
"""

from __future__ import annotations

import json
import os
import string
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from server.functions import ROOT, function_list

Object: TypeAlias = dict[str, Any]

FOLDER = ROOT / "infra/kubernetes"
_OPTIONAL = {"service.yaml": "k8s_service_name", "ingress.yaml": "k8s_ingress_host"}
"""Files that are used only if the given value is not empty."""


def defaults() -> dict[str, str]:
    """The default of every value, by name."""
    read: dict[str, str] = yaml.safe_load((FOLDER / "defaults.yaml").read_text())
    return read


def function_roles() -> dict[str, list[str]]:
    """The roles of each function."""
    return {name: listed["roles"] for name, listed in function_list().items()}


def values_from(environ: Mapping[str, str]) -> dict[str, str]:
    """The values: from the variable with the name in capitals if the environment has it, else the default."""
    return {name: environ.get(name.upper()) or default for name, default in defaults().items()}


def objects(values: Mapping[str, str], users: Mapping[str, str]) -> list[Object]:
    """The cluster's objects, in an order in which they can be created.

    Args:
        values: A value for every name in defaults.yaml.
        users: RBAC user of each function; a function that is missing may do nothing in the cluster.

    Raises:
        KeyError: A value is missing.
    """
    if values["k8s_ingress_host"] and not values["k8s_service_name"]:
        raise ValueError("K8S_INGRESS_HOST needs K8S_SERVICE_NAME: an Ingress leads to a Service")
    filled = {name: json.dumps(value) for name, value in {**values, **_subjects(users)}.items()}
    made = [
        found
        for file in sorted((FOLDER / "objects").glob("*.yaml"), key=_namespace_first)
        if values.get(_OPTIONAL.get(file.name, ""), "asked for")
        for found in yaml.safe_load_all(string.Template(file.read_text()).substitute(filled))
    ]
    return [found for found in made if found.get("subjects") != []]


def _namespace_first(file: Path) -> tuple[bool, str]:
    return file.name != "namespace.yaml", file.name


def _subjects(users: Mapping[str, str]) -> dict[str, list[Object]]:
    """The subjects of each role's binding, by the name used for them in role-bindings.yaml."""
    roles = function_roles()
    bound: dict[str, set[str]] = {role: set() for granted in roles.values() for role in granted}
    for function, user in users.items():
        for role in roles[function]:
            bound[role].add(user)
    return {
        "users_of_" + role.replace("-", "_"): [
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name} for name in sorted(names)
        ]
        for role, names in bound.items()
    }


def main(environ: Mapping[str, str]) -> int:
    """Prints the manifests.

    Returns:
        The exit code.
    """
    values = values_from(environ)
    user = values["k8s_functions_user"]
    try:
        made = objects(values, dict.fromkeys(function_roles(), user) if user else {})
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(yaml.safe_dump_all(made, sort_keys=False), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
