"""Work on input that callers size is linear: each regular expression of ours, and each parser.

The expressions are collected from the modules themselves, so that none can be forgotten. CPU time is
compared with that of one plain scan of the same text, so that the speed of the machine does not matter.
"""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.datastructures import QueryParams

import shared
from shared.audit.masking import masked, masked_words
from shared.errors import GamguiError
from shared.quantities import quantity
from shared.sessions import names
from shared.web import commands, events, exec_request, jobs, paging, ranges, schemas

LARGEST = 32 * 1024
SCANS = 100
"""A linear expression costs at most so many plain scans of its text; a quadratic one thousands."""

_REFERENCE = re.compile(r"(?:[^\0]|\0x)*+")
_METHODS = "search|match|fullmatch|sub|finditer|findall|split"
_GENERIC = (
    *(
        "a",
        "-",
        " ",
        "\n",
        "\\",
        '"',
        "'",
        "0",
        ".",
        "/",
        "@",
        ":",
        "=",
        ",",
        ";",
        "%",
        "_",
        "&",
        "(",
        "{",
        "[",
    ),
    *(
        "a.",
        "a-",
        "a_",
        "a=",
        "a:",
        "a,",
        "a/",
        "a@",
        "a ",
        "-a",
        "0-",
        "0.",
        "0,",
        "eyJ-",
        "eyJ.",
        "://",
        "://a",
    ),
    *(
        '"a',
        "'a",
        '""',
        "a=b&",
        "password",
        "password=",
        "-----BEGIN PRIVATE KEY-----",
        "%41",
        "\t,",
        "1//",
        "é",
    ),
)


def modules() -> Iterator[object]:
    """Those with expressions: to import the others would load clients that this needs not."""
    root = Path(shared.__path__[0]).parent
    for found in pkgutil.walk_packages(shared.__path__, "shared."):
        file = root / found.name.replace(".", "/")
        source = file.with_suffix(".py")
        if source.exists() and re.search(r"\bre\.compile|= r?\"\^", source.read_text()):
            yield importlib.import_module(found.name)


def patterns() -> dict[str, tuple[re.Pattern[str] | re.Pattern[bytes], str]]:
    """Each expression with the way in which it is used, by module and name."""
    found = {}
    for module in modules():
        source = Path(str(module.__dict__["__file__"])).read_text()
        for name, value in vars(module).items():
            several = value.items() if isinstance(value, dict) else [("", value)]
            for key, pattern in several:
                if isinstance(pattern, re.Pattern):
                    used = re.findall(rf"\b{name}(?:\[[^\]]*\])?\.({_METHODS})\(", source)
                    for method in set(used):
                        found[f"{module.__name__}.{name}{key}.{method}"] = (pattern, method)  # type: ignore[attr-defined]
                elif isinstance(pattern, str) and pattern.startswith("^") and not key:
                    found[f"{module.__name__}.{name}"] = (re.compile(pattern), "search")  # type: ignore[attr-defined]
    return found


PATTERNS = patterns()


def seconds(work: Callable[[], object]) -> float:
    """CPU time of the fastest of some runs."""
    best = float("inf")
    for _ in range(2):
        begin = time.process_time()
        with contextlib.suppress(GamguiError, ValueError):
            work()
        best = min(best, time.process_time() - begin)
    return best


def require_linear(work: Callable[[str], object], part: str, scans: float = SCANS) -> None:
    """Compares with plain scans at growing sizes: what is quadratic fails before it takes long."""
    for size in (LARGEST // 8, LARGEST):
        text = part * (size // len(part)) + "\0"
        allowed = scans * seconds(lambda text=text: _REFERENCE.match(text)) + 0.002  # type: ignore[misc]
        assert seconds(lambda text=text: work(text)) <= allowed, f"{part!r}, {size} characters"  # type: ignore[misc]


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_an_expression_is_linear(name: str) -> None:
    pattern, method = PATTERNS[name]
    literals = [text for text in re.split(r"[^\w ./:@=-]+", str(pattern.pattern)[:400]) if 0 < len(text) < 20]
    for part in {*_GENERIC, *literals[:8]}:
        require_linear(lambda text: _applied(pattern, method, text), part)


def _applied(pattern: re.Pattern[str] | re.Pattern[bytes], method: str, text: str) -> object:
    given: object = text if isinstance(pattern.pattern, str) else text.encode()
    call = getattr(pattern, method)
    found = call("", given) if method == "sub" else call(given)
    return list(found) if method == "finditer" else found


def test_no_expression_is_made_where_it_is_not_seen() -> None:
    """Those in functions are few and known: they are read in a review."""
    known = {"shared/web/endpoint.py": 1, "shared/files/paths.py": 1, "shared/files/opened.py": 1}
    for path in Path(shared.__path__[0]).rglob("*.py"):
        place = path.relative_to(Path(shared.__path__[0]).parent).as_posix()
        inline = re.findall(rf"\bre\.(?:{_METHODS})\(", path.read_text())
        if len(inline) > known.get(place, 0):
            assert place.startswith("shared/audit/"), f"{place}: compile it in the module"


PARSERS: dict[str, Callable[[str], object]] = {
    "a line is masked": masked,
    "words are masked": lambda text: masked_words([text, *text.split(" ")[:4096]]),
    "a query": lambda text: exec_request.query_options(text.encode()),
    "a body": lambda text: schemas.decode(text.encode(), commands.JobBody),
    "Accept": events.negotiate,
    "a cursor": jobs.read_cursor,
    "a page": lambda text: paging.page_of({"page_token": text}, names.is_job_id),
    "parameters": lambda text: jobs.jobs_query(QueryParams(text)),
    "a quantity": quantity,
    "labels": lambda text: names.label_fault({text: text}),
    "variables": lambda text: names.env_fault({text: text}),
    "Content-Range": getattr(ranges, "content_range", len),
}


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_is_linear(name: str) -> None:
    scans = 60 * SCANS if "masked" in name else 10 * SCANS  # bounded, whatever the size
    shells = ("$(", '"$(\n', "a;", "<<a\n", "sh -c '", "`", "curl -u a:b ", "a=b, ", "eyJ-", "'\n", "a ")
    for part in shells if "masked" in name else (*_GENERIC, *shells):
        require_linear(PARSERS[name], part, scans)
