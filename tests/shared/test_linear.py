"""Work on input that callers and pods size is linear: each regular expression of ours.

The expressions are collected from the code itself, so that none can be forgotten. Beside each module
stands how long the text is that reaches it; the test takes that and half of it, see
``tests.support.growth``.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

import pytest

import shared
from server.functions import load_functions
from shared.core.audit.masking import _SEARCHED
from shared.core.files.tar_header import BLOCK_BYTES
from shared.web.http.schemas import BASE64
from tests.support import growth
from tests.support.growth import attacks, repeated, require_linear

ROOT = Path(shared.__path__[0]).parent
JSON = 1024 * 1024
HEADERS = 64 * 1024
"""All headers and the target of a request, which uvicorn takes: ``h11_max_incomplete_event_size``."""

SETTING = 128 * 1024
"""One variable of a process: MAX_ARG_STRLEN, execve(2)."""

BOUNDS = {
    "shared.core.audit.": _SEARCHED,
    "shared.core.files.script_output": 8192,
    "shared.core.ids": HEADERS,
    "shared.core.files.download": 8192,
    "shared.core.files.paths": HEADERS,
    "shared.core.files.upload": 8192,
    "shared.core.files.tar_header": 64 * 1024,
    "shared.core.files.tar_header._OCTAL": 12,
    "shared.core.files.tar_header._UNUSED": BLOCK_BYTES,
    "shared.identity.": HEADERS,
    "shared.images": 512,
    "shared.settings.values": SETTING,
    "shared.kube.connect.access.urls": SETTING,
    "shared.kube.exec.channels": 64 * 1024,
    "shared.kube.pods.waiting": JSON,
    "shared.kube.pods.refusals": JSON,
    "shared.kube.api.errors": JSON,
    "shared.kube.api.retry_after": HEADERS,
    "shared.kube.clusters": JSON,
    "shared.kube.connect.gke.connection": SETTING,
    "shared.kube.connect.kubeconfig.loader": JSON,
    "shared.kube.pods.runtime": JSON,
    "shared.kube.exec.supervisor": SETTING,
    "shared.quantities": HEADERS,
    "shared.core.clusters.installation": JSON,
    "shared.core.credentials.model": 64 * 1024,
    "shared.core.credentials.google_urls": 64 * 1024,
    "shared.core.sessions.names": JSON,
    "shared.settings": SETTING,
    "shared.store.": JSON,
    "shared.web.": HEADERS,
    "shared.web.http.schemas": JSON,
}
"""The longest text in characters, by the beginning of an expression's name; the longest beginning counts."""

METHODS = ("search", "match", "fullmatch", "sub", "finditer", "findall", "split")
MADE = {"shared/web/http/routing.py": "a route's template, of which all are in the code"}
"""Where an expression is made that no module has, and of what; ``routes`` collects those."""


def sources() -> dict[str, str]:
    """Every file of ours that is deployed."""
    files = [*(ROOT / "shared").rglob("*.py"), *(ROOT / "functions").rglob("*.py")]
    return {file.relative_to(ROOT).as_posix(): file.read_text() for file in sorted(files)}


SOURCES = sources()


def expressions() -> Iterator[tuple[str, re.Pattern[Any], str]]:
    """Each expression and the way in which it is used: those of modules, of classes, and in calls."""
    everything = "\n".join(SOURCES.values())
    for path, source in SOURCES.items():
        if not re.search(r"^import re$|= r?\"\^", source, re.MULTILINE):
            continue
        module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
        for name, pattern in of_module(module):
            base = re.escape(name.partition("[")[0])
            call = rf"\b{base}(?:\[[^\]]*\])?\.({'|'.join(METHODS)})\("
            used = re.findall(call, source) or re.findall(call, everything)
            otherwise = "match" if name.startswith("Loader") else "search"  # PyYAML's, and msgspec's
            for method in sorted(set(used)) or [otherwise]:
                yield f"{module.__name__}.{name}.{method}", pattern, method
        for node in ast.walk(ast.parse(source)):
            if is_of_re(node) and isinstance(node.args[0], ast.Constant):
                flags = re.DOTALL if "DOTALL" in ast.unparse(node) else 0
                method = ast.unparse(node.func).removeprefix("re.")
                expression: re.Pattern[Any] = re.compile(node.args[0].value, flags)
                yield f"{module.__name__}.line {node.lineno}.{method}", expression, method


def is_of_re(call: ast.AST) -> TypeGuard[ast.Call]:
    """Whether it is a call such as ``re.sub(...)``."""
    return isinstance(call, ast.Call) and ast.unparse(call.func) in {f"re.{method}" for method in METHODS}


def of_module(module: ModuleType) -> Iterator[tuple[str, re.Pattern[Any]]]:
    """The expressions of a module, also in its tables and its loader of YAML."""
    for name, value in list(vars(module).items()):
        resolvers = (
            getattr(value, "yaml_implicit_resolvers", None)
            if getattr(value, "__module__", None) == module.__name__
            else None
        )
        if isinstance(value, re.Pattern):
            yield name, value
        elif isinstance(value, str) and value.startswith("^"):
            yield name, re.compile(value)
        elif isinstance(value, dict):
            yield from (
                (f"{name}[{key}]", found) for key, found in value.items() if isinstance(found, re.Pattern)
            )
        elif resolvers:
            pairs = {pattern.pattern: pattern for pairs in resolvers.values() for _, pattern in pairs}
            yield from ((f"{name}[{number}]", pattern) for number, pattern in enumerate(pairs.values()))


def routes() -> Iterator[tuple[str, re.Pattern[Any], str]]:
    """What the paths of all functions are compared with."""
    for function in load_functions():
        for route in function.routes:
            yield f"shared.web.http.routing[{route.path_format}]", route.path_regex, "match"


EXPRESSIONS = {name: (pattern, method) for name, pattern, method in (*expressions(), *routes())}


def bound_of(name: str) -> int:
    """The longest text that reaches the expression."""
    beginnings = [beginning for beginning in BOUNDS if name.startswith(beginning)]
    assert beginnings, f"{name}: say in BOUNDS how long the text is that reaches it"
    return BOUNDS[max(beginnings, key=len)]


@pytest.mark.parametrize("name", sorted(EXPRESSIONS))
def test_an_expression_is_linear(name: str) -> None:
    pattern, method = EXPRESSIONS[name]
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    # A ``bytes`` expression has the same form; its sample is a text of the same bytes.
    flags = pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else pattern.flags
    for begin, part, end in attacks(text, flags):
        make = repeated(part, begin, end)
        require_linear(
            lambda given: applied(pattern, method, given),
            make,
            bound_of(name),
            f"{begin[:40]!r} {part[:40]!r}",
        )


def applied(pattern: re.Pattern[Any], method: str, text: str) -> object:
    """The expression on a text, to the end."""
    given: Any = text if isinstance(pattern.pattern, str) else text.encode("latin-1", "replace")
    call = getattr(pattern, method)
    found = call(given[:0], given) if method == "sub" else call(given)
    return list(found) if method == "finditer" else found


def test_no_step_of_the_memorys_looks_like_growth_on_a_slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's memory of a mebibyte of Base64 is a block beyond 32 MiB, that of half is not."""
    monkeypatch.setattr(growth, "FLOOR_SECONDS_A_CHARACTER", growth.FLOOR_SECONDS_A_CHARACTER / 10)
    pattern = re.compile(BASE64)
    for end in ("", "\0"):
        require_linear(pattern.search, repeated("AAAA", end=end), JSON, BASE64)


@pytest.mark.parametrize(
    ("bad", "size"), [(r" *[0-7]* *\Z", 256), (r"x[^y]*y", 4096), (r"\s+$", 2048), (r",.*,.*;", 512)]
)
def test_a_search_finds_what_is_not_linear(bad: str, size: int) -> None:
    pattern = re.compile(bad)
    assert any(_refused(pattern, bad, size) for _ in range(5))  # on a busy machine four may look like three


def _refused(pattern: re.Pattern[str], bad: str, size: int) -> bool:
    try:
        for begin, part, end in attacks(bad):
            require_linear(
                lambda given: applied(pattern, "search", given), repeated(part, begin, end), size, bad
            )
    except AssertionError:
        return True
    return False


def test_every_expression_is_seen() -> None:
    """None is built in a function, where the collection would not find it."""
    for path, source in SOURCES.items():
        assert not re.search(r"^(?:from re |import re as|from re import)", source, re.MULTILINE), path
        functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
        for function in functions:
            for node in ast.walk(function):
                made = isinstance(node, ast.Call) and ast.unparse(node.func) == "re.compile"
                if made or (is_of_re(node) and not isinstance(node.args[0], ast.Constant)):
                    assert path in MADE, f"{path}: compile it in the module"
    assert len(EXPRESSIONS) > 80
