"""The functions' image and its pipeline: what is in the files, without a container engine."""

from __future__ import annotations

import importlib.metadata
import re
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.gateway_process import ROOT
from tests.support.terraform import PLATFORM, local_values

LOCKS = sorted(
    str(path.relative_to(ROOT))
    for path in (*ROOT.glob("requirements*.lock"), *ROOT.glob("images/*/requirements*.lock"))
)
PINNED = re.compile(r"^([a-z0-9][a-z0-9.-]*)==(\S+) (?:; [^\\]*)?\\$", re.MULTILINE)


def locked(name: str) -> dict[str, str]:
    return dict(PINNED.findall((ROOT / name).read_text()))


def required() -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
    return [Requirement(line) for line in lines if line]


def test_the_lock_is_made_from_the_requirements() -> None:
    lock = locked("requirements.lock")
    for requirement in required():
        version = lock.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name}: run make lock"
        assert requirement.specifier.contains(version), f"{requirement}: run make lock"


def test_the_lock_holds_all_that_the_requirements_need() -> None:
    """Walks what the installed packages say that they need, as pip would with --no-deps gone."""
    lock = locked("requirements.lock")
    seen: set[tuple[str, str]] = set()
    todo = [(canonicalize_name(one.name), extra) for one in required() for extra in ("", *one.extras)]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        assert name in lock, f"{name} is needed: run make lock"
        for text in importlib.metadata.requires(name) or []:
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                todo += [(canonicalize_name(needed.name), one) for one in ("", *needed.extras)]
    assert {name for name, _ in seen} == set(lock), "the lock holds what nothing needs: run make lock"


@pytest.mark.parametrize("name", LOCKS)
def test_every_version_in_a_lock_has_hashes_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(entries) == len(PINNED.findall(text)) > 0
    for entry in entries:
        assert "--hash=sha256:" in entry, entry
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", text)


def test_what_tests_run_with_is_what_production_runs_with() -> None:
    """The lock of tests holds all of production's, and what builds this project, in the same versions."""
    tests = locked("requirements-dev.lock")
    for name, version in {**locked("requirements.lock"), **locked("requirements-build.lock")}.items():
        assert tests.get(name) == version, f"{name}: run make lock"


@pytest.mark.parametrize("source", ["requirements-dev", "requirements-checkov", "requirements-lock"])
def test_a_lock_of_tools_is_made_from_its_requirements(source: str) -> None:
    lock = locked(f"{source}.lock")
    for text in (ROOT / f"{source}.txt").read_text().splitlines():
        if line := text.partition("#")[0].strip():
            if line.startswith("-r"):
                continue
            requirement = Requirement(line)
            version = lock.get(canonicalize_name(requirement.name))
            assert version is not None and requirement.specifier.contains(version), f"{text}: run make lock"


def test_nothing_is_installed_but_by_hash_from_a_lock() -> None:
    """Whatever names pip's install, in whichever file, names a lock or installs what lies here."""
    for path in ("Makefile", "Dockerfile", ".ci/run", "cloudbuild.yaml", "images/gam-session/Dockerfile"):
        text = (ROOT / path).read_text().replace("\\\n", " ")
        for line in text.splitlines():
            for install in re.findall(r"pip\S*(?: --python \S+)? install[^&|]*", line):
                assert "--require-hashes" in install or "--no-index" in install, f"{path}: {install}"


def instructions(name: str) -> list[tuple[str, str]]:
    """Instructions of a Dockerfile, continuation lines joined."""
    text = re.sub(r"\\\n\s*", "", (ROOT / name).read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in lines]


def test_the_image_is_built_from_hashes_and_runs_as_nobody() -> None:
    found = instructions("Dockerfile")
    stages = [rest for word, rest in found if word == "FROM"]
    assert len(stages) == 2
    assert stages[1] + " AS build" == stages[0], "what is built is for the Python that runs it"
    for stage in stages:
        assert re.match(r"python:3\.\d+\.\d+-slim-\w+@sha256:", stage), "an exact version"
    last = len(found) - 1 - [word for word, _ in found][::-1].index("FROM")
    final = found[last:]
    installs = [rest for word, rest in found if word == "RUN" and "install" in rest and "wheel " not in rest]
    assert all("--require-hashes" in rest for rest in installs if ".lock" in rest)
    assert [rest for word, rest in final if word == "USER"] == ["65532:65532"]
    assert not any(re.search(r"pip install|apt-get|gcc|curl", rest) for word, rest in final if word == "RUN")
    environment = " ".join(rest for word, rest in final if word == "ENV")
    assert "MALLOC_TRIM_THRESHOLD_=67108864" in environment
    assert "MALLOC_MMAP_THRESHOLD_=33554432" in environment
    assert any("compileall" in rest for word, rest in found if word == "RUN")
    assert not any(word == "ADD" for word, _ in found)


def test_the_image_takes_nothing_but_what_it_needs() -> None:
    ignored = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] not in "#"
    ]
    assert ignored[0] == "*"
    kept = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        part.removeprefix("./")
        for word, rest in instructions("Dockerfile")
        if word == "COPY" and "--from" not in rest
        for part in rest.split()[:-1]
    }
    assert copied == kept
    assert all((ROOT / name).exists() for name in kept)


def test_a_functions_source_is_where_terraform_says() -> None:
    assert '"/app/functions/${name}/main.py"' in local_values(PLATFORM)["own_environment"]
    assert ("COPY", "functions /app/functions") in instructions("Dockerfile")
    assert ("COPY", "--from=build /app /app") in instructions("Dockerfile")


def pipeline() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())
    return found


def test_the_pipeline_goes_in_order() -> None:
    steps = pipeline()["steps"]
    order = [step["id"] for step in steps]
    for step in steps:
        for before in step.get("waitFor", []):
            assert before == "-" or order.index(before) < order.index(step["id"])
    waits = {step["id"]: set(step.get("waitFor", [])) for step in steps}

    def after(step: str) -> set[str]:
        direct = waits[step] - {"-"}
        return direct.union(*(after(one) for one in direct))

    assert {"test", "scan"} <= after("deploy")
    assert {"deploy", "verify"} <= after("keep-or-roll-back")


def test_the_pipeline_knows_its_variables() -> None:
    """Cloud Build takes $NAME for its own; $$NAME is the shell's."""
    text = (ROOT / "cloudbuild.yaml").read_text()
    config = pipeline()
    used = set(re.findall(r"(?<!\$)\$\{?([A-Za-z_]\w*)", text))
    declared = set(config["substitutions"])
    assert used - declared == {"PROJECT_ID", "BUILD_ID"}
    assert declared - used == set()
    assert set(local_values(PLATFORM)["substitutions"]) | {"_SEVERITIES"} == declared
    assert config["options"]["substitutionOption"] == "MUST_MATCH"


def test_the_pipeline_deploys_what_it_has_scanned() -> None:
    steps = {step["id"]: str(step) for step in pipeline()["steps"]}
    for name in ("session-image", "functions-image"):
        assert "index .RepoDigests 0" in steps[name]
        assert f"cat build/{name}" in steps["scan"]
    assert "cat build/functions-image" in steps["deploy"]
    assert "SESSION_IMAGE=$(cat build/session-image)" in steps["functions-image"]


def test_the_pipelines_scripts_are_there() -> None:
    text = (ROOT / "cloudbuild.yaml").read_text()
    for name in ("deploy", "verify", "rollback"):
        assert f"scripts/{name}" in text
        assert (ROOT / "scripts" / name).stat().st_mode & 0o111
