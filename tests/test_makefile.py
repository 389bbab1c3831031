"""What README.md says of the targets."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tests.support.laptop import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()


def test_every_target_stands_in_the_readme_and_no_other_does() -> None:
    targets = set(re.findall(r"^([a-z-]+):.* ## ", MAKEFILE, re.MULTILINE))
    assert (
        set(re.findall(r"^\| `make ([a-z-]+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)) == targets
    )
    declared = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert declared is not None and set(declared[1].split()) == targets


def test_every_long_proof_is_run_in_part_before_a_change_lands() -> None:
    ran = re.search(r"make (prove-.*)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert ran is not None
    assert set(ran[1].split()) == set(re.findall(r"^(prove-[a-z]+):", MAKEFILE, re.MULTILINE))


def test_clean_leaves_nothing_that_git_ignores_but_what_is_the_operators(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    made = [line for line in (ROOT / ".gitignore").read_text().splitlines() if line.endswith("/")]
    for name in made:
        (tmp_path / name.replace("*", "some")).mkdir()
    (tmp_path / "shared/web/__pycache__").mkdir(parents=True)
    (tmp_path / "shared/web/kept.py").touch()
    subprocess.run(["make", "clean"], cwd=tmp_path, capture_output=True, check=True)
    left = {
        str(path.relative_to(tmp_path))
        for path in tmp_path.rglob("*")
        if path.is_file() or path.name[0] in "._"
    }
    # What Terraform keeps may be of use to whoever runs it.
    assert left == {"Makefile", ".terraform", "shared/web/kept.py"}
