"""Loads the functions, each in the form in which functions-framework runs it."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import functions_framework.aio
import yaml
from starlette.types import ASGIApp

from shared.web.http.entry import Entry
from shared.web.http.routing import AnyRoute

ROOT = Path(__file__).resolve().parent.parent
_FOLDER = ROOT / "functions"


@dataclasses.dataclass(frozen=True, slots=True)
class Function:
    """One function.

    Attributes:
        name: Name of its folder.
        entry: Our application for its routes, for requests that functions-framework does not take.
        application: The application that functions-framework makes of it.
    """

    name: str
    entry: Entry
    application: ASGIApp

    @property
    def routes(self) -> Sequence[AnyRoute]:
        """The routes that it serves."""
        return self.entry.routes


def function_list() -> dict[str, dict[str, Any]]:
    """The entries of functions/functions.yaml by name; that file says which keys an entry may have."""
    found: dict[str, dict[str, Any]] = yaml.safe_load((_FOLDER / "functions.yaml").read_text())
    return found


def load_functions() -> list[Function]:
    """Loads every function of the list."""
    return [_load(_FOLDER / name / "main.py") for name in sorted(function_list())]


def _load(source: Path) -> Function:
    name = source.parent.name
    spec = importlib.util.spec_from_file_location(f"functions_{name}", source)
    assert spec is not None and spec.loader is not None, "a Python file has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    make_application: Callable[..., ASGIApp] = functions_framework.aio.create_asgi_app_from_module
    return Function(name, module.ENTRY, make_application(name, str(source), "http", module, spec))
