"""``python -m server``: all functions in one process, which knows nothing of a laptop."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import httpx

from tests.support import laptop
from tests.support.gateway_process import ALICE, ROOT, virtual_settings
from tests.support.patience import PATIENCE


def test_it_serves_all_functions_until_it_is_told_to_end(tmp_path: Path) -> None:
    environment = laptop.base_environment(PORT="0", **virtual_settings(tmp_path))
    with laptop.process(["-m", "server"], environment, "http://", tmp_path / "log") as (child, line):
        url = "http://" + line.partition("http://")[2].replace("localhost", "127.0.0.1")
        with httpx.Client(base_url=url, headers=ALICE, timeout=PATIENCE) as client:
            assert client.get("/healthz").json() == {"status": "ok"}
            created = client.post("/v1/sessions", json={})
            assert created.status_code == 201
            assert client.get("/v1/sessions").json()["sessions"][0]["id"] == created.json()["id"]
            assert client.request("DELETE", "/v1/sessions").status_code == 405
        child.send_signal(signal.SIGTERM)
        assert child.wait(PATIENCE) == 0


def test_nothing_is_assumed_that_only_a_laptop_may_assume(tmp_path: Path) -> None:
    environment = laptop.base_environment(PORT="0", HOME=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "server"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2
    assert "AUTH_AUDIENCE" in done.stderr
