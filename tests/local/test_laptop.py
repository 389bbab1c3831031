"""The laptop edition as a newcomer meets it."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from local.readme_tables import with_tables
from local.serve import unused_store
from server.functions import ROOT, load_functions
from shared.reasons import Reason
from tests.support import laptop
from tests.support.client import Client
from tests.support.firestore_fixtures import firestore_host, firestore_project
from tests.support.patience import PATIENCE

__all__ = ["firestore_host", "firestore_project"]


# What leads elsewhere, and what belongs to a cluster elsewhere: none of it decides where the demo works.
ELSEWHERE = {
    "KUBECONFIG": "/nonexistent/kubeconfig",
    "KUBECONFIG_BASE64": "bm9uZQ==",
    "GKE_CLUSTER_NAME": "production",
    "KUBERNETES_SERVICE_HOST": "203.0.113.1",
    "K8S_SERVICE_ACCOUNT": "production",
    "K8S_POD_TEMPLATE": "production",
    "SESSION_IMAGE": "registry.example.com/production:1",
    "SESSION_STORE": "firestore",
    "USE_MOCK_CONTAINER_ADAPTER": "true",
}


NOBODY_ANSWERS = (
    "{apiVersion: v1, kind: Config, current-context: c, users: [{name: u, user: {token: t}}],"
    " clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}],"
    " contexts: [{name: c, context: {cluster: c, user: u}}]}"
)


def test_the_demo_does_the_main_job_on_the_local_cluster_whatever_the_environment_names(
    tmp_path: Path,
) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "local.demo"],
        check=False,
        cwd=ROOT,
        env=laptop.base_environment(HOME=str(tmp_path), **ELSEWHERE),
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for told in (
        "is running, ready after",
        "stdout: GAM 7",
        "exited with 3",
        "404 NotFound",
        "All steps gave",
    ):
        assert told in ran.stdout
    assert "Works on a local cluster of its own" in ran.stdout
    assert "export KUBECONFIG" not in ran.stdout + ran.stderr
    assert list(tmp_path.iterdir()) == [], "something is left in the home folder"


@pytest.mark.parametrize("module", [["local.demo"], ["local.serve", "--laptop"]], ids=["demo", "run"])
def test_another_cluster_is_used_when_asked_and_said(tmp_path: Path, module: list[str]) -> None:
    """Nothing else than KUBECONFIG leads there; what cannot be reached is told by its cause."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(NOBODY_ANSWERS)
    environment = laptop.base_environment(
        **{**ELSEWHERE, "KUBECONFIG": str(kubeconfig), "SESSION_STORE": "sqlite"},
        SQLITE_PATH=str(tmp_path / "db"),
        PORT="0",
    )
    environment["USE_MOCK_CONTAINER_ADAPTER"] = "false"
    arguments = ["-m", *module, "--cluster", "kubeconfig"]
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as child:
        assert child.stdout is not None
        if module == ["local.demo"]:
            said, _ = child.communicate(timeout=PATIENCE)
            assert child.returncode == 1
            assert "FAILED" in said
            assert "Traceback" not in said
        else:
            said = next(child.stdout, "")
            child.terminate()
    assert f"Works on the cluster of KUBECONFIG={kubeconfig}, in its namespace gamgui." in said


@pytest.mark.parametrize("module", [["local.demo"], ["local.serve", "--laptop"]], ids=["demo", "run"])
@pytest.mark.parametrize(
    ("written", "told"),
    [
        (None, "KUBECONFIG_NOT_FOUND"),
        ("folder", "KUBECONFIG_UNREADABLE"),
        ("{", "KUBECONFIG_INVALID"),
        ("apiVersion: v1\nkind: Config\n", "KUBECONFIG_NO_CONTEXT"),
    ],
)
def test_a_kubeconfig_that_leads_nowhere_is_refused_at_the_start(
    tmp_path: Path, module: list[str], written: str | None, told: str
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    if written == "folder":
        kubeconfig.mkdir()
    elif written is not None:
        kubeconfig.write_text(written)
    environment = laptop.base_environment(HOME=str(tmp_path), KUBECONFIG=str(kubeconfig), PORT="0")
    ran = subprocess.run(
        [sys.executable, "-m", *module, "--cluster", "kubeconfig"],
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ran.returncode != 0
    *before, line = ran.stderr.strip().splitlines()
    assert len(before) <= 2 and "Traceback" not in ran.stderr, ran.stderr
    assert line.startswith(f"{told}: ")
    assert str(kubeconfig) in line
    assert "http://" not in ran.stdout, "it does not serve"


@pytest.mark.parametrize("module", [["local.demo"], ["local.serve", "--laptop"]], ids=["demo", "run"])
def test_where_nothing_can_be_kept_the_cause_is_told_in_a_line(tmp_path: Path, module: list[str]) -> None:
    # Root may write everywhere, but nowhere below a file.
    (tmp_path / ".local").touch()
    ran = subprocess.run(
        [sys.executable, "-m", *module],
        check=False,
        cwd=tmp_path,
        env={**laptop.base_environment(HOME=str(tmp_path), PORT="0"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode != 0
    told = [line for line in ran.stderr.splitlines() if line and not line.startswith("FAILED: the laptop")]
    assert len(told) == 1, ran.stderr
    (line,) = told
    assert line.startswith("This cannot start: ")
    assert str(tmp_path / ".local") in line


def test_sessions_of_other_runs_are_told_as_what_they_are(tmp_path: Path) -> None:
    assert unused_store(tmp_path) == ""
    (tmp_path / "sessions.db").touch()
    told = unused_store(tmp_path)
    assert str(tmp_path / "sessions.db") in told
    assert len(told.splitlines()) == 1


def test_the_readme_names_every_target() -> None:
    command = ["make", "--no-print-directory", "help"]  # the tests may be a make's themselves
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    readme = (ROOT / "README.md").read_text()
    targets = {line.split()[1] for line in told.splitlines()}
    assert targets == set(re.findall(r"^\| `make ([a-z-]+)` \|", readme, re.MULTILINE))


@pytest.mark.parametrize(
    ("variables", "arguments", "told"),
    [
        ({"GKE_CLUSTER_NAME": "x"}, [], "GKE_CLUSTER_LOCATION is not set"),
        ({"PORT": "taken"}, [], "PORT="),
        ({"PORT": "taken"}, ["--laptop"], "PORT="),
        ({"SESSION_STORE": "paper"}, ["--laptop"], "SESSION_STORE must be one of"),
        ({"K8S_NAMESPACE": "-"}, ["--laptop"], "K8S_NAMESPACE is not a DNS label"),
        ({"SESSION_TTL_SECONDS": "long"}, [], "SESSION_TTL_SECONDS must be a whole number"),
    ],
)
def test_a_start_that_fails_is_told_by_its_cause(
    tmp_path: Path, variables: dict[str, str], arguments: list[str], told: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        if variables.get("PORT") == "taken":
            variables = {**variables, "PORT": str(taken.getsockname()[1])}
        ran = subprocess.run(
            [sys.executable, "-m", "local.serve", *arguments],
            check=False,
            cwd=ROOT,
            env=laptop.base_environment(HOME=str(tmp_path), **variables),
            capture_output=True,
            text=True,
        )
    assert ran.returncode == 2
    assert told in ran.stderr
    assert len(ran.stderr.splitlines()) <= 2, ran.stderr


def test_the_gateway_says_at_its_start_what_image_is_missing(tmp_path: Path) -> None:
    settings = {"HOME": str(tmp_path), "SQLITE_PATH": str(tmp_path / "db")}
    with laptop.gateway(tmp_path / "log", **settings):
        pass
    assert "SESSION_IMAGE is not set" in (tmp_path / "log").read_text()


async def test_the_local_cluster_ends_with_the_laptop_edition_even_when_that_is_killed(
    tmp_path: Path,
) -> None:
    environment = laptop.base_environment(PORT="0", SQLITE_PATH=str(tmp_path / "db"))
    arguments = ["-m", "local.serve", "--laptop"]
    with laptop.process(arguments, environment, "http://", tmp_path / "log") as (child, _):
        servers = _read(f"/proc/{child.pid}/task/{child.pid}/children").split()
        assert len(servers) == 1
        child.kill()
        child.wait()
        async with asyncio.timeout(PATIENCE):
            while "local.cluster" in _read(f"/proc/{servers[0]}/cmdline"):
                await asyncio.sleep(0.05)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def test_the_readme_has_the_settings_as_they_are() -> None:
    readme = (ROOT / "README.md").read_text()
    assert with_tables(readme) == readme


def test_every_function_is_loaded_and_serves_paths_of_its_own() -> None:
    functions = load_functions()
    served = [
        (getattr(route, "method", "WEBSOCKET"), route.path_format)
        for function in functions
        for route in function.routes
    ]
    assert len(served) == len(set(served))
    assert {function.name for function in functions} == {
        path.parent.name for path in ROOT.glob("functions/*/main.py")
    }


def test_settings_that_are_wrong_are_told_at_the_start(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "local.serve"],
        check=False,
        cwd=ROOT,
        env=laptop.base_environment(SESSION_STORE="paper"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert ran.returncode == 2
    assert "SESSION_STORE must be one of sqlite, firestore" in ran.stderr
    assert "Traceback" not in ran.stderr


async def test_without_any_cluster_the_gateway_says_what_it_looked_for(tmp_path: Path) -> None:
    settings = {"HOME": str(tmp_path), "SQLITE_PATH": str(tmp_path / "db"), "SESSION_IMAGE": "x"}
    with laptop.gateway(tmp_path / "log", **settings) as (_, url):
        async with aiohttp.ClientSession() as http:
            client = Client(http, url, "ann@example.com")
            status, report, _ = await client.call("GET", "/readyz")
            created, problem, _ = await client.call("POST", "/v1/sessions", {})
    assert (status, report["checks"]["store"]["status"]) == (503, "ok")
    for answer in (report["checks"]["cluster"], problem):
        assert answer["reason"] == Reason.CLUSTER_CONNECTION_FAILED
        for source in ("GKE_CLUSTER_NAME", "KUBECONFIG_BASE64", "KUBECONFIG", ".kube/config"):
            assert source in answer["detail"]
        assert "8080" not in answer["detail"]
    assert created == 503


async def test_the_fallback_makes_a_virtual_session_when_no_cluster_is_reachable(tmp_path: Path) -> None:
    settings = {"HOME": str(tmp_path), "SQLITE_PATH": str(tmp_path / "db"), "SESSION_IMAGE": "x"}
    with laptop.gateway(tmp_path / "log", SESSION_FALLBACK="virtual", **settings) as (_, url):
        async with aiohttp.ClientSession() as http:
            client = Client(http, url, "ann@example.com")
            session = await client.create()
            result = await client.execute(session, "gam version")
            deleted = await client.delete(session)
    assert session["virtual"] is True
    assert (result["virtual"], result["result"], result["exit_code"]) == (True, "unknown", None)
    assert result["stdout"] == "virtual session: not executed\n"
    assert deleted["state"] == "deleted"


async def test_the_fallback_serves_a_cluster_that_is_known_but_does_not_answer(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(NOBODY_ANSWERS)
    settings = {"KUBECONFIG": str(kubeconfig), "SQLITE_PATH": str(tmp_path / "db"), "SESSION_IMAGE": "x"}
    with laptop.gateway(tmp_path / "log", SESSION_FALLBACK="virtual", **settings) as (_, url):
        async with aiohttp.ClientSession() as http:
            assert (await Client(http, url, "ann@example.com").create())["virtual"] is True
    with laptop.gateway(tmp_path / "log", **settings) as (_, url):
        async with aiohttp.ClientSession() as http:
            status, problem, _ = await Client(http, url, "ann@example.com").call("POST", "/v1/sessions", {})
    assert (status, problem["reason"]) == (503, "CLUSTER_UNREACHABLE")
    assert "127.0.0.1" not in problem["detail"]


@pytest.mark.parametrize("header", [{"Host": "evil.example"}, {"X-Forwarded-For": "1.2.3.4", "Host": "evil"}])
async def test_a_page_from_elsewhere_gets_nothing(tmp_path: Path, header: dict[str, str]) -> None:
    settings = {"USE_MOCK_CONTAINER_ADAPTER": "true", "SQLITE_PATH": str(tmp_path / "db")}
    with laptop.gateway(tmp_path / "log", **settings) as (_, url):
        async with aiohttp.ClientSession() as http:
            status, problem, _ = await Client(http, url, "ann@example.com").call(
                "GET", "/v1/sessions", **header
            )
    assert (status, problem["reason"]) == (401, "IDENTITY_NOT_LOCAL")


async def test_the_whole_life_of_a_session_on_firestore(
    tmp_path: Path, firestore_host: str, firestore_project: str
) -> None:
    settings = {
        "SESSION_STORE": "firestore",
        "FIRESTORE_EMULATOR_HOST": firestore_host,
        "GOOGLE_CLOUD_PROJECT": firestore_project,
        "SESSION_IMAGE": "localhost/busybox:1",
    }
    with (
        laptop.local_cluster(tmp_path / "cluster") as kubeconfig,
        laptop.gateway(tmp_path / "log", KUBECONFIG=kubeconfig, **settings) as (_, url),
    ):
        async with aiohttp.ClientSession() as http:
            client = Client(http, url, "ann@example.com")
            session = await client.create(name="ä", labels={"a": "b"})
            assert (await client.execute(session, "echo hi"))["stdout"] == "hi\n"
            assert (await client.call("GET", "/v1/sessions"))[1]["sessions"][0]["id"] == session["id"]
            assert (await client.call("GET", "/v1/status"))[1]["store"] == "firestore"
            assert (await client.delete(session))["state"] == "deleted"
            assert (await client.call("GET", "/v1/sessions?state=running"))[1]["sessions"] == []


@pytest.mark.parametrize("port", ["http", "99999", "-1"])
def test_a_port_that_cannot_be_served_is_told_in_a_line(port: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "local.serve"],
        check=False,
        cwd=ROOT,
        env=laptop.base_environment(PORT=port, USE_MOCK_CONTAINER_ADAPTER="true"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert ran.returncode == 2
    assert f"PORT={port} cannot be served" in ran.stderr
    assert "Traceback" not in ran.stderr
