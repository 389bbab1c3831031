"""Schemathesis against the running gateway: nothing it sends gets a 5xx or an undescribed answer."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.gateway_process import ALICE, ROOT, gateway, virtual_environment
from tests.support.proofs import times

_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "ensure_resource_availability",
    "described_data_is_accepted",  # in hooks.py
    "json_is_not_kept",
)
_OPTIONS = (
    *("--phases", "examples,coverage,fuzzing,stateful"),
    *("--mode", "all"),
    *("--max-examples", str(times(40, 8))),
    *("--seed", "20260301"),
    "--generation-deterministic",
    *("--generation-with-security-parameters", "false"),
    "--continue-on-failure",
    "--no-shrink",
    *("--suppress-health-check", "all"),
    *("--request-timeout", "20"),
    "--no-color",
)
# As wide as the description: an operator's narrower bounds are not a client's to know.
_WIDE = {
    "CLEANUP_CALLERS": ALICE["X-Dev-User"],
    "MAX_SESSIONS_PER_OWNER": "1000000",
    "MAX_TTL_SECONDS": "2147483647",
    "MAX_EXEC_TIMEOUT_SECONDS": "3600",
    "MAX_SESSION_CPU": "999999999T",
    "MAX_CPU_PER_OWNER": "999999999T",
    "MAX_MEMORY_PER_OWNER": "999999999T",
    "MAX_SESSION_MEMORY": "999999999T",
}


@pytest.mark.timeout(1800)
def test_every_answer_to_whatever_is_sent_is_a_described_one(tmp_path: Path) -> None:
    hooks = {"SCHEMATHESIS_HOOKS": "tests.openapi.hooks", "PYTHONPATH": str(ROOT)}
    with gateway(tmp_path, **_WIDE) as url:
        run = subprocess.run(
            [
                str(Path(sys.executable).with_name("schemathesis")),
                "run",
                str(ROOT / "openapi.yaml"),
                *("--url", url),
                *("--header", f"X-Dev-User:{ALICE['X-Dev-User']}"),
                *("--checks", ",".join(_CHECKS)),
                *_OPTIONS,
            ],
            cwd=tmp_path,
            env={**virtual_environment(tmp_path), **hooks},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    assert run.returncode == 0, run.stdout.decode()[-20_000:]
    log = (tmp_path / "server.log").read_text()
    assert "Traceback" not in log
    # It got through: sessions were made, used and deleted.
    assert re.search(r"POST /v1/sessions -> 201", log)
    assert re.search(r"POST /v1/sessions/s\w+/exec -> 200", log)
    assert re.search(r"DELETE /v1/sessions/s\w+ -> 200", log)
