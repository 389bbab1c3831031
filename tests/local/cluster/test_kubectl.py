"""Real kubectl, in every version that is supported, against the cluster."""

import asyncio
import os
import pty
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from .client import DEADLINE_S, Client, session_manifest

_WAIT = "trap 'exit 0' TERM; echo up; while :; do sleep 1 & wait $!; done"


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Kubectl = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(client: Client, kubectl: str, tmp_path: Path) -> Kubectl:
    return _runner(client, kubectl, tmp_path)


@pytest.fixture
def run_at_the_edges(client: Client, edge_kubectl: str, tmp_path: Path) -> Kubectl:
    return _runner(client, edge_kubectl, tmp_path)


def _runner(client: Client, kubectl: str, tmp_path: Path) -> Kubectl:
    env = {"KUBECONFIG": str(client.cluster.kubeconfig), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}

    async def run(*arguments: str, stdin: bytes = b"") -> Result:
        process = await asyncio.create_subprocess_exec(
            kubectl,
            *arguments,
            env=env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(DEADLINE_S):
            out, err = await process.communicate(stdin)
        assert process.returncode is not None
        return Result(process.returncode, out.decode(), err.decode())

    return run


def _write(folder: Path, manifest: object) -> str:
    path = folder / "manifest.yaml"
    path.write_text(yaml.safe_dump(manifest))
    return str(path)


async def _apply_session(run: Kubectl, tmp_path: Path) -> None:
    manifest = _write(tmp_path, session_manifest("s1", _WAIT))
    applied = await run("apply", "-n", "rec", "-f", manifest)
    assert (applied.code, applied.out) == (0, "pod/s1 created\n"), applied
    waited = await run("wait", "-n", "rec", "--for=condition=Ready", "pod/s1", "--timeout=300s")
    assert (waited.code, waited.out) == (0, "pod/s1 condition met\n"), waited


async def test_apply_wait_get_describe_logs_delete(run: Kubectl, tmp_path: Path) -> None:
    await _apply_session(run, tmp_path)
    listed = await run("get", "pods", "-n", "rec", "--no-headers")
    assert listed.out.split()[:4] == ["s1", "1/1", "Running", "0"]
    described = await run("describe", "pod", "s1", "-n", "rec")
    assert described.code == 0
    for reason in ("Scheduled", "Pulled", "Created", "Started"):
        assert reason in described.out
    assert (await run("logs", "s1", "-n", "rec")).out == "up\n"
    deleted = await run("delete", "pod", "s1", "-n", "rec", "--timeout=300s")
    assert deleted.code == 0
    gone = await run("get", "pod", "s1", "-n", "rec")
    assert (gone.code, gone.err) == (1, 'Error from server (NotFound): pods "s1" not found\n')


async def test_exec_carries_streams_and_exit_codes(run: Kubectl, tmp_path: Path) -> None:
    await _apply_session(run, tmp_path)
    result = await run("exec", "s1", "-n", "rec", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (result.code, result.out) == (7, "out\n")
    assert result.err == "err\ncommand terminated with exit code 7\n"
    piped = await run("exec", "-i", "s1", "-n", "rec", "--", "wc", "-c", stdin=b"x" * 300_000)
    assert piped.out.strip() == "300000"
    missing = await run("exec", "s1", "-n", "rec", "--", "no-such-command")
    assert missing.code == 1
    assert 'exec: "no-such-command": executable file not found in $PATH' in missing.err


async def test_exec_in_a_terminal(run: Kubectl, kubectl: str, client: Client, tmp_path: Path) -> None:
    await _apply_session(run, tmp_path)
    master, slave = pty.openpty()
    env = {"KUBECONFIG": str(client.cluster.kubeconfig), "HOME": str(tmp_path), "TERM": "xterm"}
    process = await asyncio.create_subprocess_exec(
        kubectl,
        "exec",
        "-it",
        "s1",
        "-n",
        "rec",
        "--",
        *("env", "PS1=$ ", "sh"),  # root has another
        env=env,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    os.set_blocking(master, False)
    loop.add_reader(master, lambda: queue.put_nowait(_read(master)))
    seen = b""

    async def until(wanted: bytes) -> None:
        nonlocal seen
        while wanted not in seen:
            chunk = await queue.get()
            assert chunk, seen
            seen += chunk
        seen = seen.partition(wanted)[2]

    async with asyncio.timeout(DEADLINE_S):
        await until(b"$ ")
        os.write(master, b"test -t 0 && echo terminal-$((40 + 2))\n")
        await until(b"terminal-42\r\n")
        os.write(master, b"exit 5\n")
        code = await process.wait()
    loop.remove_reader(master)
    os.close(master)
    assert code == 5


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""


async def test_cp_both_ways_with_binary_files_and_folders(
    run: Kubectl, client: Client, tmp_path: Path
) -> None:
    await _apply_session(run, tmp_path)
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    content = os.urandom(1_500_000)
    (source / "binary").write_bytes(content)
    (source / "inner" / "text").write_text("hello\n")
    assert (await run("cp", "-n", "rec", str(source), "s1:/workspace/there")).code == 0
    listed = await run(
        "exec", "s1", "-n", "rec", "--", "sh", "-c", "cd /workspace/there && find . -type f | sort"
    )
    assert listed.out == "./binary\n./inner/text\n"
    back = tmp_path / "back"
    # kubectl looks in the tar for the path that it has asked for, which a process group calls otherwise.
    there = "/workspace/there" if "in namespaces" in client.cluster.runtime_description else "there"
    assert (await run("cp", "-n", "rec", f"s1:{there}", str(back))).code == 0
    assert (back / "binary").read_bytes() == content
    assert (back / "inner" / "text").read_text() == "hello\n"


async def test_apply_again_changes_and_prunes_what_the_manifest_no_longer_has(
    run: Kubectl, tmp_path: Path
) -> None:
    def config(data: dict[str, str]) -> str:
        head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "rec"}}
        return _write(tmp_path, {**head, "data": data})

    assert (await run("apply", "-f", config({"a": "1", "b": "2"}))).out == "configmap/c created\n"
    assert (await run("apply", "-f", config({"a": "1", "b": "2"}))).out == "configmap/c unchanged\n"
    assert (await run("apply", "-f", config({"a": "3"}))).out == "configmap/c configured\n"
    shown = await run("get", "cm", "c", "-n", "rec", "-o", "jsonpath={.data}")
    assert shown.out == '{"a":"3"}'
    server_side = await run("apply", "--server-side", "--force-conflicts", "-f", config({"a": "4"}))
    assert (server_side.code, server_side.out) == (0, "configmap/c serverside-applied\n"), server_side.err
    edited = await run(
        "patch", "cm", "c", "-n", "rec", "--type=json", "-p", '[{"op":"remove","path":"/data/a"}]'
    )
    assert (edited.code, edited.out) == (0, "configmap/c patched\n"), edited.err


async def test_the_rest_of_kubectl_that_operators_use(run: Kubectl, tmp_path: Path) -> None:
    await _apply_session(run, tmp_path)
    assert "Server Version: v1.36.2" in (await run("version")).out
    assert (await run("api-resources", "-o", "name")).out.count("\n") > 20
    assert (await run("explain", "pod.metadata")).code == 0
    assert (await run("get", "nodes", "--no-headers")).out.split()[1] == "Ready"
    assert (await run("get", "all", "-n", "rec")).code == 0
    assert (await run("auth", "can-i", "create", "pods", "--subresource=exec", "-n", "rec")).out == "yes\n"
    assert "admin" in (await run("auth", "whoami")).out
    assert (await run("create", "secret", "generic", "s", "-n", "rec", "--from-literal=a=b")).code == 0
    assert (await run("create", "quota", "q", "-n", "rec", "--hard=pods=5")).code == 0
    quota = await run("get", "quota", "q", "-n", "rec", "-o", "jsonpath={.status.used.pods}")
    assert quota.out == "1"
    assert (await run("label", "pod", "s1", "-n", "rec", "x=y")).out == "pod/s1 labeled\n"
    assert (await run("annotate", "pod", "s1", "-n", "rec", "x=y")).code == 0
    assert (await run("get", "pods", "-A", "-l", "x in (y,z)", "-o", "name")).out == "pod/s1\n"
    assert "Started" in (await run("get", "events", "-n", "rec")).out
    assert "Started" in (await run("events", "-n", "rec")).out
    assert (await run("delete", "namespace", "rec", "--timeout=300s")).code == 0
    assert (await run("get", "namespace", "rec")).code == 1


async def test_server_side_validation_reaches_the_user(run: Kubectl, tmp_path: Path) -> None:
    manifest = session_manifest("Bad_Name", _WAIT)
    refused = await run("apply", "-n", "rec", "-f", _write(tmp_path, manifest))
    assert refused.code == 1
    assert "a lowercase RFC 1123 subdomain must consist of" in refused.err


def _deployment(labels: dict[str, str], **more: int) -> dict[str, object]:
    container = {"name": "c", "image": "localhost/busybox:1", "command": ["sleep", "3600"]}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    head = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "rec"}}
    template = {"metadata": {"labels": labels}, "spec": spec}
    return {
        **head,
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template, **more},
    }


async def test_deployments_tokens_and_strict_fields_with_the_oldest_and_the_newest(
    run_at_the_edges: Kubectl, client: Client, tmp_path: Path
) -> None:
    run = run_at_the_edges
    refused = await run("apply", "-f", _write(tmp_path, _deployment({"app": "web"}, replica=2)))
    assert refused.code == 1
    assert 'strict decoding error: unknown field "spec.replica"' in refused.err
    applied = await run("apply", "-f", _write(tmp_path, _deployment({"app": "web"})))
    assert applied.out == "deployment.apps/web created\n", applied
    rolled = await run("rollout", "status", "deployment/web", "-n", "rec", "--timeout=300s")
    assert rolled.out.endswith('deployment "web" successfully rolled out\n'), rolled
    assert (await run("scale", "deployment/web", "-n", "rec", "--replicas=2")).code == 0
    waited = await run("wait", "-n", "rec", "--for=jsonpath={.status.availableReplicas}=2", "deployment/web")
    assert waited.code == 0, waited
    assert (await run("rollout", "restart", "deployment/web", "-n", "rec")).code == 0
    rolled = await run("rollout", "status", "deployment/web", "-n", "rec", "--timeout=300s")
    assert rolled.code == 0, rolled
    history = await run("rollout", "history", "deployment/web", "-n", "rec")
    assert [line.split()[0] for line in history.out.splitlines()[2:] if line] == ["1", "2"]
    listed = await run("get", "deployments,replicasets", "-n", "rec", "--no-headers")
    assert len(listed.out.splitlines()) == 3 and "2/2" in listed.out
    token = await run("create", "token", "default", "-n", "rec", "--duration=15m")
    assert (token.code, token.err) == (0, "")
    whoami = await client.request(
        "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, token=token.out.strip()
    )
    assert whoami.body["status"]["userInfo"]["username"] == "system:serviceaccount:rec:default"
    rights = await run("auth", "can-i", "--list", "-n", "rec", f"--token={token.out.strip()}")
    assert "selfsubjectaccessreviews.authorization.k8s.io" in rights.out + rights.err
    deleted = await run("delete", "deployment", "web", "-n", "rec", "--cascade=foreground", "--timeout=300s")
    assert deleted.code == 0, deleted
    assert (await run("get", "replicasets", "-n", "rec")).out == ""
