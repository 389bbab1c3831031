"""``make docs``: writes the table of settings into README.md, from ``Settings`` itself."""

from __future__ import annotations

import dataclasses

from local.gateway import ROOT
from shared.settings import Settings

BEGIN = "<!-- settings: made by `make docs` from shared/settings.py -->"
END = "<!-- end of settings -->"


def table() -> str:
    """All settings as a Markdown table."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for field in dataclasses.fields(Settings):
        default = field.default
        shown = ",".join(default) if isinstance(default, tuple) else str(default)
        shown = shown.lower() if isinstance(default, bool) else shown
        rows.append(
            f"| `{field.metadata['env']}` | {f'`{shown}`' if shown else ''} | {field.metadata['doc']} |"
        )
    return "\n".join(rows)


def with_table(readme: str) -> str:
    """The README's text with the table as it must be."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(with_table(path.read_text()))
