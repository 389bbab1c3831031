"""``make docs``: writes the table of settings into README.md, from their groups themselves."""

from __future__ import annotations

from server.functions import ROOT
from shared.settings.variables import variables

BEGIN = "<!-- settings: made by `make docs` from shared/settings/ -->"
END = "<!-- end of settings -->"


def table() -> str:
    """All settings as a Markdown table."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for variable in variables():
        default = variable.default
        shown = ",".join(default) if isinstance(default, tuple) else str(default)
        shown = shown.lower() if isinstance(default, bool) else shown
        rows.append(f"| `{variable.name}` | {f'`{shown}`' if shown else ''} | {variable.doc} |")
    return "\n".join(rows)


def with_table(readme: str) -> str:
    """The README's text with the table as it must be."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(with_table(path.read_text()))
