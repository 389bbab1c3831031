"""The official Python client as a witness: it says whether Kubernetes knows what we build.

Its models forbid fields that they do not have. They take the names of Python's attributes too
(``active_deadline_seconds``), which Kubernetes drops without a word, so what a model has read must
also come out of it as it went in.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")
_FREE = frozenset(
    {
        *("labels", "annotations", "matchLabels", "nodeSelector", "data", "stringData"),
        *("requests", "limits", "hard", "max", "min", "default", "defaultRequest"),
    }
)
"""Fields whose keys are anybody's choice: labels, names of files, resources."""


@functools.cache
def _client() -> ModuleType:
    """Its models take a second to import: only for those who ask the witness."""
    import kubernetes.aio.client

    return kubernetes.aio.client


def confirm(built: Mapping[str, Any]) -> None:
    """Compares an object with the official model of its kind.

    Raises:
        AssertionError: There is no such kind in that version of the API, the object has a field that the
            kind has not, lacks one that it must have, or a value is of another type.
    """
    model = _model(built["apiVersion"], built["kind"])
    try:
        read = model.model_validate(built)
    except ValueError as error:
        raise AssertionError(f"{built['kind']}: {error}") from error
    understood = read.model_dump(by_alias=True, exclude_unset=True)
    assert understood == built, f"{built['kind']}: not all of it is understood"


def fields(built: Any, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to each field of an object whose name is Kubernetes', at all depths."""
    if isinstance(built, Mapping):
        for name, value in built.items():
            yield (*way, name)
            if not _is_free(name, value):
                yield from fields(value, (*way, name))
    elif isinstance(built, list):
        for at, value in enumerate(built):
            yield from fields(value, (*way, at))


def snake_case(name: str) -> str:
    """A field's name as Python writes it."""
    return _WORD.sub("_", name).lower()


def _is_free(name: str, value: Any) -> bool:
    """Whether a field's own keys are anybody's choice. Only a Service's selector is labels itself."""
    return name in _FREE or (name == "selector" and all(isinstance(label, str) for label in value.values()))


def _model(version: str, kind: str) -> Any:
    """The model of a kind, if the API has it in that version."""
    client = _client()
    group, _, number = version.rpartition("/")
    if kind != "DeleteOptions":  # is no resource, but what is said with a deletion
        name = "".join(part.title() for part in (group.removesuffix(".k8s.io") or "core").split("."))
        api = getattr(client, f"{name}{number.title()}Api", None)
        verbs = (f"create_{snake_case(kind)}", f"create_namespaced_{snake_case(kind)}")
        assert any(hasattr(api, verb) for verb in verbs), f"there is no {kind} in {version}"
    model = getattr(client, f"{number.title()}{kind}", None)
    assert model is not None, f"there is no {kind} in {version}"
    return model
