"""Each function runs alone, as Cloud Run starts it, and imports little to answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.gateway_process import ALICE, ROOT, server, virtual_environment
from tests.support.patience import PATIENCE
from tests.support.ports import free_port

UNKNOWN = "/v1/sessions/saaaaaaaaaaaaaaaa"
# Function, method, path, body, status, reason.
REQUESTS = [
    ("create_session", "POST", "/v1/sessions", {}, 201, None),
    ("credentials", "GET", "/v1/credentials", None, 200, None),
    ("cleanup_sessions", "POST", "/v1/cleanup", None, 403, "CLEANUP_NOT_ALLOWED"),
    ("update_session", "POST", f"{UNKNOWN}/keepalive", None, 404, "SESSION_NOT_FOUND"),
    ("get_session", "GET", UNKNOWN, None, 404, "SESSION_NOT_FOUND"),
    ("job_output", "GET", f"{UNKNOWN}/jobs/j/output", None, 404, "SESSION_NOT_FOUND"),
    ("session_jobs", "POST", f"{UNKNOWN}/jobs", {"command": "true"}, 404, "SESSION_NOT_FOUND"),
    ("owners", "DELETE", "/v1/owners/bob%40example.com/credentials", None, 403, "NOT_AN_ADMINISTRATOR"),
    ("session_audit", "GET", f"{UNKNOWN}/audit", None, 404, "SESSION_NOT_FOUND"),
    ("list_sessions", "GET", "/v1/sessions", None, 200, None),
    ("delete_session", "DELETE", UNKNOWN, None, 404, "SESSION_NOT_FOUND"),
    ("exec_command", "POST", f"{UNKNOWN}/exec", {"command": ["true"]}, 404, "SESSION_NOT_FOUND"),
    ("session_files", "GET", f"{UNKNOWN}/files/a/b", None, 404, "SESSION_NOT_FOUND"),
    ("health", "GET", "/readyz", None, 200, None),
]
HEAVY = (
    "kubernetes",
    "google",
    "aiohttp",
    "grpc",
    "msgspec",
    "jwt",
    "aiosqlite",
    "sqlite3",
    "cryptography",
    "opentelemetry",
)


def functions() -> list[str]:
    return sorted(source.parent.name for source in (ROOT / "functions").glob("*/main.py"))


def test_every_function_is_tried_here() -> None:
    assert sorted(entry[0] for entry in REQUESTS) == functions()


@pytest.mark.parametrize(("function", "method", "path", "body", "status", "reason"), REQUESTS)
def test_a_function_runs_alone_from_the_root_without_pythonpath(
    function: str,
    method: str,
    path: str,
    body: dict[str, object] | None,
    status: int,
    reason: str | None,
    tmp_path: Path,
) -> None:
    port = free_port()
    command = [
        *(sys.executable, "-m", "shared.app.serve"),
        *("--source", f"functions/{function}/main.py"),
        *("--target", function),
        *("--host", "127.0.0.1"),
        *("--port", str(port)),
    ]
    with server(command, port, virtual_environment(tmp_path), tmp_path / "server.log") as (_, url):
        answer = httpx.request(method, url + path, json=body, headers=ALICE, timeout=PATIENCE)
        elsewhere = httpx.get(f"{url}/v1/nothing", headers=ALICE, timeout=PATIENCE)
    assert answer.status_code == status, answer.text
    assert answer.json().get("reason") == reason
    assert elsewhere.status_code == 404
    assert elsewhere.headers["content-type"] == "application/problem+json"
    assert (tmp_path / "server.log").read_text().count(f"{method} {path} -> {status}") == 1


@pytest.fixture(scope="module")
def imports() -> dict[str, list[str]]:
    """What the import of each function imports more than the framework has: each in a fork of its own."""
    program = (
        "import importlib.util, json, os, sys\n"
        "import functions_framework.aio\n"
        "before = set(sys.modules)\n"
        "for name in sys.argv[1:]:\n"
        "    child = os.fork()\n"
        "    if child:\n"
        "        assert os.waitpid(child, 0)[1] == 0, name\n"
        "        continue\n"
        "    spec = importlib.util.spec_from_file_location('main', f'functions/{name}/main.py')\n"
        "    module = importlib.util.module_from_spec(spec)\n"
        "    spec.loader.exec_module(module)\n"
        "    print(json.dumps([name, sorted(set(sys.modules) - before)]))\n"
        "    sys.exit()\n"
    )
    command = [sys.executable, "-c", program, *functions()]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=PATIENCE)
    return dict(json.loads(line) for line in run.stdout.splitlines())


@pytest.mark.parametrize("function", functions())
def test_importing_a_function_imports_nothing_heavy(function: str, imports: dict[str, list[str]]) -> None:
    imported = {name.partition(".")[0] for name in imports[function]}
    assert imported & set(HEAVY) == set()
    assert "shared" in imported


@pytest.mark.parametrize(
    "source", sorted((ROOT / "functions").glob("*/main.py")), ids=lambda s: s.parent.name
)
def test_a_function_is_forty_lines_of_code_at_most(source: Path) -> None:
    lines = [line for line in source.read_text().splitlines() if line.strip()]
    assert len(lines) <= 40
