"""A Kubernetes API that fails, and repeats what it was sent: neither answers nor log do."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path

import aiohttp

from tests.support import kubeconfigs, laptop
from tests.support.gam_files import gam_files
from tests.support.kube_server import Answer, KubeServer, failure

USER = {"X-Dev-User": "alice@example.com", "Content-Type": "application/json"}
WORD = "canary" + secrets.token_hex(12)
WEBHOOK = 'admission webhook "v.example.com"'
NONE = failure(404, "NotFound")
THERE = Answer(body={"metadata": {"resourceVersion": "7", "annotations": {}}, "data": {}})
CREATED = Answer(status=201, body={"kind": "Secret"})
NO_SECRET = [NONE] * 3
"""Neither ours nor an earlier release's, nor ours made in between."""

FAULTS = [
    ("forbidden", failure(403, "Forbidden", WORD), 503, "CLUSTER_FORBIDDEN"),
    (
        "role",
        failure(403, "Forbidden", f'secrets is forbidden: User "{WORD}" cannot get'),
        503,
        "CLUSTER_FORBIDDEN",
    ),
    ("webhook", failure(403, "Forbidden", f"{WEBHOOK} denied the request: {WORD}"), 422, "ADMISSION_DENIED"),
    ("admission", failure(403, "Forbidden", f'secrets "x" is forbidden: {WORD}'), 422, "ADMISSION_DENIED"),
    ("quota", failure(403, "Forbidden", f"exceeded quota: {WORD}"), 429, "NAMESPACE_QUOTA_EXCEEDED"),
    ("invalid", failure(422, WORD, f"data: Invalid value: {WORD}"), 503, "CLUSTER_REFUSED"),
    ("unauthorized", failure(401, "Unauthorized", WORD), 503, "CLUSTER_UNAUTHORIZED"),
    ("text", Answer(500, WORD), 503, "CLUSTER_REFUSED"),
    ("no object", Answer(200, [WORD]), 503, "CLUSTER_UNAVAILABLE"),
    ("dropped", Answer(status=0), 503, "CLUSTER_UNREACHABLE"),
    ("silent", Answer(hangs=True), 503, "CLUSTER_TIMEOUT"),
]


def contents(folder: Path) -> list[tuple[str, str]]:
    return [(file.name, file.read_bytes().decode(errors="replace")) for file in folder.iterdir()]


async def test_what_kubernetes_says_of_credentials_goes_nowhere(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    data = gam_files(WORD)["oauth2.txt"]
    seen: list[tuple[str, str]] = []
    async with KubeServer([CREATED]).running() as server, aiohttp.ClientSession() as http:
        settings = {
            "KUBECONFIG": kubeconfigs.write(tmp_path, kubeconfigs.document({"server": server.url})),
            "AUTH_MODE": "dev",
            "SESSION_STORE": "sqlite",
            "SQLITE_PATH": str(tmp_path / "sessions.db"),
            "SESSION_IMAGE": "gam:7",
        }
        with laptop.gateway(log, **settings) as (_, url):
            for name, fault, status, reason in FAULTS:
                server.script = [*NO_SECRET, fault]
                async with http.put(f"{url}/v1/credentials/oauth2.txt", data=data, headers=USER) as answer:
                    seen.append((name, await answer.text()))
                    assert (answer.status, (await answer.json(content_type=None))["reason"]) == (
                        status,
                        reason,
                    ), name
                if name == "silent":
                    continue  # once is slow enough
                server.script = [NONE, fault]  # at the look for an earlier release's Secret
                async with http.get(f"{url}/v1/credentials", headers=USER) as answer:
                    seen.append((f"{name}, read", await answer.text()))
                    assert answer.status in (429, 503), name
            # Always another version: given up, and said so.
            server.script = [THERE, failure(409, "Conflict", WORD)] * 40
            async with http.put(f"{url}/v1/credentials/oauth2.txt", data=data, headers=USER) as answer:
                seen.append(("conflict", await answer.text()))
                assert answer.status == 409
    assert any(base64.b64encode(data) in body for body in server.bodies)
    seen += contents(tmp_path)
    assert {name for name, text in seen if WORD in text} == set()
    assert "credentials.put by alice@example.com on -: CLUSTER_FORBIDDEN" in log.read_text()
