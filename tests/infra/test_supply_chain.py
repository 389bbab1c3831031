"""What runs with rights is what somebody has looked at: everything is named by digest, commit or hash."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.laptop import ROOT
from tests.support.needs import needs
from tests.support.pins import DIGEST, unpinned
from tests.support.terraform import PLATFORM, local_values, resources

HEX = "0123456789abcdef" * 4
IMAGE = f"python:3.11.14-slim@sha256:{HEX}"
NOT_RUN = ("tests", "docs", "openapi.yaml", "build")

LET_BE = {
    "infra/kubernetes/objects/pod-template.yaml": {"image without a digest: session"},
    ".github/workflows/ci.yaml": {
        "installed from where nobody vouches for it: "
        "gcloud components install --quiet cloud-firestore-emulator"
    },
}
"""Names that nothing is fetched by: the image of a PodTemplate is replaced by each session's.

And what has no version to name: Firestore's emulator, by Google's own SDK, in a job that has no rights.
"""

LOOSE = [
    ("Dockerfile", "FROM python:3.11.14"),
    ("Dockerfile", "FROM --platform=linux/amd64 python AS build"),
    ("images/x/Dockerfile", f"FROM {IMAGE} AS a\nCOPY --from=ghcr.io/astral-sh/uv:0.8 /uv /uv"),
    ("Dockerfile", f"# syntax=docker/dockerfile:1\nFROM {IMAGE}"),
    ("Dockerfile", f"FROM {IMAGE}\nADD https://example.com/x /x"),
    ("Dockerfile.test", f"FROM {IMAGE}\nRUN true && \\\n  pip install requests==2.34.2"),
    ("Dockerfile", "FROM python@sha256:0123"),
    ("cloudbuild.yaml", "steps:\n- name: gcr.io/cloud-builders/docker\n  args: [build, .]"),
    ("cloudbuild.yaml", "steps:\n- id: a\n  name: python:3.11.14\n  script: make"),
    (
        "cloudbuild.yaml",
        f"steps:\n- name: {IMAGE}\n  args: [-c, 'curl -L https://example.com/x | tar -xz']",
    ),
    ("cloudbuild.yaml", f"steps:\n- name: {IMAGE}\n  entrypoint: pip\n  args: [pip, install, requests]"),
    (".github/workflows/a.yaml", "jobs:\n  a:\n    steps:\n    - uses: actions/checkout@v4.2.2"),
    (".github/workflows/a.yaml", "jobs:\n  a:\n    steps:\n    - uses: actions/checkout@main # v4.2.2"),
    (".github/workflows/a.yml", f"jobs:\n  a:\n    steps:\n    - uses: actions/checkout@{HEX[:40]}"),
    (".github/workflows/a.yml", "jobs:\n  a:\n    steps:\n    - uses: docker://alpine:3.20"),
    (".github/workflows/a.yml", "jobs:\n  a:\n    container: python:3.11"),
    (".github/workflows/a.yml", "jobs:\n  a:\n    services:\n      db:\n        image: redis:7"),
    (".github/workflows/a.yml", "jobs:\n  a:\n    steps:\n    - run: docker run --rm alpine:3.20 true"),
    ("Makefile", "x:\n\t@$(BIN)/python -m pip install -r requirements.txt -e ."),
    ("Makefile", "x:\n\tpip3 install --no-deps requests"),
    ("Makefile", "x:\n\tuv pip install requests"),
    ("scripts/x", "npm install"),
    ("scripts/x", "npx prettier ."),
    ("scripts/x", "go install example.com/x@latest"),
    ("scripts/x", "curl -fsSL https://example.com/x -o /usr/local/bin/x\nchmod 755 /usr/local/bin/x"),
    ("scripts/x", "wget https://example.com/x.tar.gz"),
    ("scripts/x", "bash <(curl -s https://example.com/install)"),
    ("scripts/x", "git clone --branch v1 https://example.com/x"),
    ("scripts/x", "add-apt-repository ppa:x/y"),
    ("scripts/x", "echo 'deb [trusted=yes] https://example.com /' >/etc/apt/sources.list.d/x.list"),
    ("scripts/x", "apt-get install -y ./x.deb"),
    ("scripts/x", "gcloud components install beta"),
    ("a.tf", 'locals {\n  image = "us-docker.pkg.dev/cloudrun/container/hello"\n}'),
    ("a.tf", 'module "x" {\n  source = "terraform-google-modules/network/google"\n}'),
    ("a.tf", 'google = {\n  source  = "hashicorp/google"\n  version = "~> 7.40"\n}'),
]

FIRM = [
    ("Dockerfile", f"FROM {IMAGE} AS build\nFROM build\nCOPY --from=build /x /x\nCOPY --from=0 /y /y"),
    ("Dockerfile", f"FROM {IMAGE}\nRUN pip install --require-hashes --no-deps -r requirements.lock"),
    ("Dockerfile", f"FROM {IMAGE}\nRUN apt-get install --yes tmux && pip uninstall --yes pip"),
    ("cloudbuild.yaml", f"steps:\n- name: {IMAGE}\n  args: [-c, make test]"),
    (
        ".github/workflows/a.yaml",
        f"jobs:\n  a:\n    steps:\n    - uses: actions/x@{HEX[:40]} # v4.2.2",
    ),
    (".github/workflows/a.yaml", "jobs:\n  a:\n    steps:\n    - uses: ./.github/actions/own"),
    (
        ".github/workflows/a.yaml",
        "jobs:\n  a:\n    steps:\n    - run: docker build -t x:ci .\n    - run: docker run x:ci true",
    ),
    ("Makefile", "x:\n\tpip install --no-deps -e ."),
    ("scripts/x", 'curl -fsSL "$url" -o x\necho "$hash  x" | sha256sum --check --quiet'),
    ("scripts/x", "curl -f http://localhost:8080/healthz"),
    ("scripts/x", "npm ci"),
    ("a.tf", 'google = {\n  source  = "hashicorp/google"\n  version = "7.45.0"\n}'),
    ("a.tf", 'locals {\n  registry = "${var.region}-docker.pkg.dev/${var.project_id}/x"\n}'),
]


def sources() -> Iterator[Path]:
    """Every file that a build, a check, a deployment or a person runs, or that says what to run."""
    for folder, folders, names in os.walk(ROOT):
        at = Path(folder).relative_to(ROOT)
        folders[:] = [
            name
            for name in folders
            if str(at / name) not in NOT_RUN and (name[0] != "." or name in (".github", ".ci"))
        ]
        for name in names:
            path = at / name
            if str(path) in NOT_RUN or "tests" in path.parts:
                continue
            known = path.suffix in (".yaml", ".yml", ".tf", ".sh") or re.match(r"Makefile|.*Dockerfile", name)
            if known or (not path.suffix and (ROOT / path).read_bytes()[:2] == b"#!"):
                yield path


@pytest.mark.parametrize(("path", "text"), LOOSE)
def test_a_name_that_can_move_is_found(path: str, text: str) -> None:
    assert unpinned(path, text)


@pytest.mark.parametrize(("path", "text"), FIRM)
def test_a_name_that_cannot_move_is_let_be(path: str, text: str) -> None:
    assert unpinned(path, text) == []


def test_everything_that_runs_is_named_by_digest_commit_or_hash() -> None:
    walked = {str(path): set(unpinned(str(path), (ROOT / path).read_text())) for path in sources()}
    assert {"cloudbuild.yaml", "Dockerfile", "Makefile", ".github/workflows/ci.yaml"} <= set(walked)
    assert {"scripts/deploy", ".ci/run", "images/gam-session/Dockerfile"} <= set(walked)
    loose = {path: found - LET_BE.get(path, set()) for path, found in walked.items()}
    if not (ROOT / "requirements-dev.lock").exists():
        loose["Makefile"] = {found for found in loose["Makefile"] if " -r requirements-dev.txt" not in found}
    assert {path: found for path, found in loose.items() if found} == {}


def test_every_lock_has_hashes_for_all_and_names_no_address() -> None:
    locks = sorted(ROOT.glob("**/requirements*.lock"))
    assert len(locks) >= 3
    for lock in (lock for lock in locks if not {".venv", ".local"} & set(lock.parts)):
        entries = re.split(r"^(?=[a-zA-Z0-9])", lock.read_text(), flags=re.MULTILINE)[1:]
        assert entries, lock
        for entry in entries:
            assert re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+ ", entry), (lock, entry)
            assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), (lock, entry)
        assert "://" not in lock.read_text()


def test_programs_are_fetched_by_hash() -> None:
    text = (ROOT / "programs.lock").read_text()
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    assert len({name for name, *_ in rows}) == len(rows) > 0
    for _, digest, url in rows:
        assert re.fullmatch(r"[0-9a-f]{64}", digest)
        assert url.startswith("https://")
        assert re.search(r"\d+\.\d+\.\d+", url)


def fetch(folder: Path, content: bytes, digest: str) -> subprocess.CompletedProcess[str]:
    """Runs the script with a lock of one program."""
    (folder / "scripts").mkdir()
    (folder / "scripts/fetch").write_bytes((ROOT / "scripts/fetch").read_bytes())
    (folder / "program").write_bytes(content)
    (folder / "programs.lock").write_text(f"# none\ntool {digest} {(folder / 'program').as_uri()}\n")
    command = ["bash", str(folder / "scripts/fetch"), str(folder / "bin"), "tool"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs("curl")
def test_a_program_that_is_as_locked_is_put_in_place(tmp_path: Path) -> None:
    content = b"#!/bin/sh\necho works\n"
    run = fetch(tmp_path, content, hashlib.sha256(content).hexdigest())
    assert run.returncode == 0, run.stderr
    assert subprocess.check_output([tmp_path / "bin/tool"]) == b"works\n"


@needs("curl")
def test_a_program_that_is_not_as_locked_is_put_nowhere(tmp_path: Path) -> None:
    run = fetch(tmp_path, b"#!/bin/sh\n", HEX)
    assert run.returncode != 0
    assert "tool is not what programs.lock says" in run.stderr
    assert list((tmp_path / "bin").iterdir()) == []


def test_a_program_that_the_lock_does_not_know_is_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/fetch").write_bytes((ROOT / "scripts/fetch").read_bytes())
    (tmp_path / "programs.lock").write_text("")
    command = ["bash", str(tmp_path / "scripts/fetch"), str(tmp_path / "bin"), "tool"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert "programs.lock has no tool" in run.stderr


def steps(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((ROOT / name).read_text())["steps"]
    return found


def test_what_is_only_tested_has_no_rights() -> None:
    """Tests run whatever a change brings: in a build of their own, whose account may write its log."""
    deploying = {step["id"]: str(step) for step in steps("cloudbuild.yaml")}
    first = next(step for step in steps("cloudbuild.yaml") if step["id"] == "test")
    assert (first["entrypoint"], first["args"][:2]) == ("gcloud", ["builds", "submit"])
    assert "--config=cloudbuild-checks.yaml" in first["args"]
    assert "--service-account=projects/$PROJECT_ID/serviceAccounts/$_CHECKER" in first["args"]
    for name, step in deploying.items():
        assert not re.search(r"make (check|test)|pytest", step), name
    checks = " ".join(str(step) for step in steps("cloudbuild-checks.yaml"))
    assert "make check check-infra test" in checks
    assert "$_" not in checks
    assert local_values(PLATFORM)["substitutions"]["_CHECKER"] == "${google_service_account.check.email}"


def test_the_account_of_the_tests_reads_the_source_and_writes_its_log() -> None:
    given = {
        address: body["role"]
        for address, body in resources(PLATFORM).items()
        if "_iam_" in address and "google_service_account.check.member" in str(body.get("member"))
    }
    assert given == {
        "google_project_iam_member.check": "roles/logging.logWriter",
        "google_storage_bucket_iam_member.check_source": "roles/storage.objectViewer",
    }


def test_only_digests_are_deployed() -> None:
    for name in ("functions-image", "session-image"):
        made = next(str(step) for step in steps("cloudbuild.yaml") if step["id"] == name)
        assert "index .RepoDigests 0" in made
    for reference in ("r/functions:v1", "r/functions", "r/functions@sha256:abc", f"r/f@sha256:{HEX} x"):
        run = subprocess.run(
            ["bash", str(ROOT / "scripts/deploy"), reference],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"], "PROJECT": "p", "REGION": "r"},
        )
        assert run.returncode == 2, reference
        assert "@sha256:DIGEST" in run.stderr
    assert DIGEST.search(local_values(PLATFORM)["placeholder_image"])
