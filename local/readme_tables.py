"""``make docs``: writes README.md's tables of functions and settings, each from its only source."""

from __future__ import annotations

from server.functions import ROOT, function_list
from shared.settings.variables import variables


def functions() -> str:
    """All functions as a Markdown table."""
    rows = ["| function | request | answer |", "|---|---|---|"]
    for name, listed in function_list().items():
        requests = ", ".join(f"`{route.replace('=**}', '}')}`" for route in listed["routes"])
        rows.append(f"| `{name}` | {requests} | {listed['answer']} |")
    return "\n".join(rows)


def settings() -> str:
    """All settings as a Markdown table."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for variable in variables():
        default = variable.default
        shown = ",".join(default) if isinstance(default, tuple) else str(default)
        shown = shown.lower() if isinstance(default, bool) else shown
        rows.append(f"| `{variable.name}` | {f'`{shown}`' if shown else ''} | {variable.doc} |")
    return "\n".join(rows)


_TABLES = {
    "functions: made by `make docs` from functions/functions.yaml": functions,
    "settings: made by `make docs` from shared/settings/": settings,
}


def with_tables(readme: str) -> str:
    """The README's text with up-to-date tables.

    Raises:
        ValueError: The README has no place for one of the tables.
    """
    for title, table in _TABLES.items():
        begin, end = f"<!-- {title} -->", f"<!-- end of {title.partition(':')[0]} -->"
        before, found, rest = readme.partition(begin)
        _, ends, after = rest.partition(end)
        if not found or not ends:
            raise ValueError(f"README.md has no {begin} ... {end}")
        readme = f"{before}{begin}\n{table()}\n{end}{after}"
    return readme


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(with_tables(path.read_text()))
