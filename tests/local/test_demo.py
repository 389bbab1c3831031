"""What the demo takes for a pod's end: the official client's word, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import pytest

from local.demo import StepFailed, kubernetes_says
from tests.support.kube_server import Answer, KubeServer, failure


async def said(answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    async with KubeServer([answer]).running() as server:
        kubeconfig = {
            "clusters": [{"name": "c", "cluster": {"server": server.url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        (tmp_path / "config").write_text(json.dumps(kubeconfig))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
        try:
            return await kubernetes_says("gamgui", "gam-s1")
        finally:
            assert {request.path for request in server.requests} == {"/api/v1/namespaces/gamgui/pods/gam-s1"}


async def test_a_pod_that_kubernetes_does_not_find_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "404 NotFound" in await said(failure(404, "NotFound"), tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body={"apiVersion": "v1", "kind": "Pod", "metadata": {}, "status": {"phase": "Running"}}),
        failure(403, "Forbidden"),
        failure(500, "InternalError"),
        Answer(404, "page not found"),
        Answer(404, lines=[b"<html>a proxy's page</html>"]),
        Answer(404, lines=[b""]),
    ],
    ids=["there", "forbidden", "fault", "no Status", "no JSON", "nothing"],
)
async def test_any_other_answer_is_a_failed_step(
    answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StepFailed):
        await said(answer, tmp_path, monkeypatch)


async def test_a_cluster_that_does_not_answer_is_no_word_of_the_pod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises((StepFailed, aiohttp.ClientError)):
        await said(Answer(0), tmp_path, monkeypatch)
