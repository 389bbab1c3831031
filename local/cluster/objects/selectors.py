"""Label and field selectors of lists and watches.

Grammar: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from . import Object
from .errors import bad_request

Matcher: TypeAlias = Callable[[Object], bool]

_KEY = r"[A-Za-z0-9][-A-Za-z0-9_./]*"
_VALUE = r"[-A-Za-z0-9_.]*"
_EQUALITY = re.compile(rf"\s*({_KEY})\s*(==|=|!=)\s*({_VALUE})\s*")
_SET = re.compile(rf"\s*({_KEY})\s+(in|notin)\s*\(\s*({_VALUE}(?:\s*,\s*{_VALUE})*)\s*\)\s*")
_EXISTS = re.compile(rf"\s*(!?)\s*({_KEY})\s*")
_FIELD = re.compile(r"([A-Za-z.]+)(==|=|!=)(.*)", re.DOTALL)

_FIELDS_OF_ALL = ("metadata.name", "metadata.namespace")
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "Pod": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.phase",
        "status.podIP",
    ),
    "Event": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "Secret": ("type",),
    "Namespace": ("status.phase",),
    "Node": ("spec.unschedulable",),
}


def matcher(label_selector: str, field_selector: str, kind: str) -> Matcher:
    """Combine the two selectors of a request into one predicate.

    Args:
        label_selector: Value of ``labelSelector``; empty matches everything.
        field_selector: Value of ``fieldSelector``; empty matches everything.
        kind: Kind of the objects, which decides the fields that can be selected.

    Raises:
        ApiError: 400 when a selector does not parse or names an unsupported field.
    """
    tests = [*_parse_labels(label_selector), *_parse_fields(field_selector, kind)]
    return lambda candidate: all(test(candidate) for test in tests)


def _labels(candidate: Object) -> Mapping[str, str]:
    found: Mapping[str, str] = candidate["metadata"].get("labels") or {}
    return found


def _parse_labels(selector: str) -> list[Matcher]:
    tests: list[Matcher] = []
    for part in _split(selector):
        if match := _SET.fullmatch(part):
            key, operator, listed = match.groups()
            values = frozenset(value.strip() for value in listed.split(","))
            tests.append(_label_test(key, values, wanted=operator == "in"))
        elif match := _EQUALITY.fullmatch(part):
            key, operator, value = match.groups()
            tests.append(_label_test(key, frozenset((value,)), wanted=operator != "!="))
        elif match := _EXISTS.fullmatch(part):
            absent, key = match.groups()
            tests.append(_existence_test(key, wanted=not absent))
        else:
            raise bad_request(f"unable to parse requirement: {part.strip() or selector!r}")
    return tests


def _split(selector: str) -> list[str]:
    """Split at the commas that are outside parentheses."""
    if not selector.strip():
        return []
    return re.split(r",(?![^()]*\))", selector)


def _label_test(key: str, values: frozenset[str], *, wanted: bool) -> Matcher:
    # An object without the key matches `!=` and `notin`, as in Kubernetes.
    return lambda candidate: (_labels(candidate).get(key) in values) is wanted


def _existence_test(key: str, *, wanted: bool) -> Matcher:
    return lambda candidate: (key in _labels(candidate)) is wanted


def _parse_fields(selector: str, kind: str) -> list[Matcher]:
    tests: list[Matcher] = []
    for part in selector.split(",") if selector else []:
        match = _FIELD.fullmatch(part)
        if match is None:
            raise bad_request(f"invalid field selector: {part!r}; can't understand")
        field, operator, value = match.groups()
        if field not in _FIELDS_OF_ALL and field not in _FIELDS.get(kind, ()):
            raise bad_request(f"field label not supported: {field}")
        tests.append(_field_test(tuple(field.split(".")), value, wanted=operator != "!="))
    return tests


def _field_test(path: tuple[str, ...], value: str, *, wanted: bool) -> Matcher:
    def test(candidate: Object) -> bool:
        found: Any = candidate
        for step in path:
            found = found.get(step) if isinstance(found, dict) else None
        if isinstance(found, bool):
            found = str(found).lower()
        return (str(found if found is not None else "") == value) is wanted

    return test
