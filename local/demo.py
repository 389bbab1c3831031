"""``make demo``: does the main job over HTTP, as a client does it, on the laptop edition.

Exits with 0 only if every step had the expected result.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import IO, Any, TypeAlias

import aiohttp

from local.serve import choose_cluster
from shared.errors import GamguiError

JsonObject: TypeAlias = dict[str, Any]

_START_SECONDS = 600.0
_PENDING_SECONDS = 300.0
_LOOK_SECONDS = 2.0
_OWNER = "admin@example.com"


class StepFailed(Exception):
    """The result of a step is not the expected one."""


class Demo:
    """The client of the demo.

    Args:
        http: Sends the requests; its headers say who calls.
        url_of: Returns the URL that serves a method and a path (without query).
        pods: Returns what Kubernetes says about a pod; None if Kubernetes cannot be asked.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url_of: Callable[[str, str], str],
        pods: Callable[[str, str], Awaitable[str]] | None = None,
    ) -> None:
        self._http = http
        self._url_of = url_of
        self._pods = pods
        self._began = time.monotonic()
        self._number = 0

    async def run(self) -> None:
        """Runs all steps in order.

        Raises:
            StepFailed: A step failed; the later steps did not run.
        """
        session = await self._create()
        path = f"/v1/sessions/{session['id']}"
        try:
            await self._gam_version(path)
            await self._exit_three(path)
            await self._job(path)
            await self._list(session["id"])
        finally:
            deleted = await self._call("DELETE", path, 200)
        self._step(f"delete the session: it is {deleted['state']}")
        _expect(deleted["state"] == "deleted", deleted)
        await self._pod_is_gone(path)

    async def _create(self) -> JsonObject:
        began = time.monotonic()
        body = {"name": "demo", "wait_seconds": 60}
        session = await self._call("POST", "/v1/sessions", (201, 202), body)
        while session["state"] == "pending" and time.monotonic() - began < _PENDING_SECONDS:
            # If the cluster has no room yet, it adds a node, which takes minutes.
            await asyncio.sleep(_LOOK_SECONDS)
            session = await self._call("GET", f"/v1/sessions/{session['id']}", 200)
        seconds = time.monotonic() - began
        _expect(session["state"] == "running", session)
        self._step(f"create a session: {session['id']} is running, ready after {seconds:.2f} s")
        return session

    async def _gam_version(self, path: str) -> None:
        self._step("run gam version, output as it comes:")
        end, output = await self._stream(path, ["gam", "version"])
        _expect(end["result"] == "exited" and end["exit_code"] == 0, end)
        _expect("GAM" in output["stdout"], output)
        print(f"      {end['result']} with {end['exit_code']} after {end['duration_ms'] / 1000:.2f} s")

    async def _exit_three(self, path: str) -> None:
        self._step("run a command that writes to stderr and exits with 3:")
        end, output = await self._stream(path, "echo 'no such user' >&2; exit 3")
        _expect(end["exit_code"] == 3 and output["stderr"] == "no such user\n", end)
        print(f"      {end['result']} with {end['exit_code']}")

    async def _job(self, path: str) -> None:
        line = "for i in 1 2 3 4; do echo line $i; sleep 0.2; done"
        job = await self._call("POST", f"{path}/jobs", 201, {"command": line})
        place = f"{path}/jobs/{job['job_id']}"
        self._step(f"start a job: {job['job_id']} is {job['state']}; follow it and hang up in the middle:")
        first = await self._follow(place, "", events=3)
        self._step("follow it again from where the connection was lost:")
        rest = await self._follow(place, first[-1]["cursor"])
        said = "".join(event["text"] for event in first + rest if event["type"] == "stdout")
        _expect(said == "line 1\nline 2\nline 3\nline 4\n" and rest[-1]["exit_code"] == 0, first + rest)
        print(f"      {rest[-1]['result']} with {rest[-1]['exit_code']}, nothing lost and nothing twice")

    async def _follow(self, place: str, cursor: str, events: int = 100) -> list[JsonObject]:
        found: list[JsonObject] = []
        query = {"follow": "true", "cursor": cursor}
        place = self._url_of("GET", f"{place}/output")
        async with self._http.get(place, params=query) as response:
            async for line in response.content:
                found.append(json.loads(line))
                if found[-1]["type"] == "stdout":
                    print(f"      stdout: {found[-1]['text'].strip()}", flush=True)
                if len(found) == events:
                    break
        return found

    async def _list(self, session_id: str) -> None:
        page = await self._call("GET", "/v1/sessions", 200, state="running")
        ids = [session["id"] for session in page["sessions"]]
        self._step(f"list running sessions: {', '.join(ids)}")
        _expect(session_id in ids, page)

    async def _pod_is_gone(self, path: str) -> None:
        await self._call("POST", f"{path}/exec", 409, {"command": ["true"]})
        status = await self._call("GET", path, 200)
        if self._pods is not None:
            self._step(f"its pod is gone: {await self._pods(status['namespace'], status['pod_name'])}")

    async def _stream(self, path: str, command: list[str] | str) -> tuple[JsonObject, dict[str, str]]:
        output = {"stdout": "", "stderr": ""}
        last: JsonObject = {}
        headers = {"Accept": "application/x-ndjson"}
        url = self._url_of("POST", f"{path}/exec")
        async with self._http.post(url, json={"command": command}, headers=headers) as response:
            _expect(response.status == 200, await response.text() if response.status != 200 else "")
            async for line in response.content:
                last = json.loads(line)
                if last["type"] in output:
                    output[last["type"]] += last["text"]
                    for text in last["text"].splitlines():
                        print(f"      {last['type']}: {text}", flush=True)
        _expect(last.get("type") == "exit", last)
        return last, output

    async def _call(
        self,
        method: str,
        path: str,
        status: int | tuple[int, ...],
        body: JsonObject | None = None,
        **query: str,
    ) -> JsonObject:
        url = self._url_of(method, path)
        async with self._http.request(method, url, json=body, params=query) as response:
            text = await response.text()
            expected = (status,) if isinstance(status, int) else status
            _expect(response.status in expected, f"{method} {path}: {response.status} {text[:1000]}")
            answer: JsonObject = json.loads(text)
            return answer

    def _step(self, text: str) -> None:
        self._number += 1
        print(f"{time.monotonic() - self._began:6.2f} s  {self._number}. {text}", flush=True)


def _expect(holds: bool, found: object) -> None:
    if not holds:
        raise StepFailed(f"unexpected: {found}")


async def kubernetes_says(namespace: str, pod: str) -> str:
    """What Kubernetes tells its official client about the pod; this client shares no code with ours.

    Raises:
        StepFailed: The pod is there, or it is not Kubernetes that says that it is not.
    """
    from kubernetes.aio import config
    from kubernetes.aio.client import ApiClient, Configuration, CoreV1Api
    from kubernetes.aio.client.exceptions import ApiException

    configuration = Configuration()
    file = os.environ.get("KUBECONFIG")  # main() has removed all other variables that lead to a cluster
    await config.load_kube_config(file, client_configuration=configuration)  # type: ignore[no-untyped-call] # it has no annotations
    async with ApiClient(configuration) as client:
        try:
            found = await CoreV1Api(client).read_namespaced_pod(pod, namespace)
        except ApiException as error:
            said: Any = None
            with contextlib.suppress(ValueError):
                said = json.loads(error.body or "")
            # A proxy has pages of its own for 404: only Kubernetes' Status says that there is no such pod.
            gone = error.status == 404 and isinstance(said, dict) and said.get("reason") == "NotFound"
            _expect(gone, f"{error.status} {error.reason}")
            return "Kubernetes answers the official client 404 NotFound"
    raise StepFailed(f"the pod is still there: {found.status}")


@contextlib.asynccontextmanager
async def laptop(folder: str, log: IO[bytes], cluster: str) -> AsyncGenerator[str, None]:
    """Runs the laptop edition on free ports, with its own store and caller.

    Args:
        folder: Holds the demo's sessions, apart from those of ``make run``.
        log: The file for the gateway's log.
        cluster: ``local`` or ``kubeconfig``.

    Yields:
        The gateway's URL.

    Raises:
        StepFailed: The laptop edition did not start; the log says why.
    """
    own = {"PORT": "0", "SQLITE_PATH": f"{folder}/sessions.db", "SESSION_STORE": "sqlite", "AUTH_MODE": "dev"}
    environment = {**os.environ, **own, "USE_MOCK_CONTAINER_ADAPTER": "false"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "local.serve",
        "--laptop",
        "--cluster",
        cluster,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=log,
    )
    assert process.stdout is not None, "asked for a pipe"
    try:
        async with asyncio.timeout(_START_SECONDS):
            async for line in process.stdout:
                text = line.decode().rstrip()
                if text.startswith("export KUBECONFIG="):
                    # The line is not shown, because the cluster is gone before a user could use the file.
                    os.environ["KUBECONFIG"] = shlex.split(text)[1].partition("=")[2]
                    continue
                print(text, flush=True)
                if "http://" in text:
                    break
            else:
                # The process ends by itself. A signal now could change the exit code that its parent waits
                # for.
                await process.wait()
                raise StepFailed("the laptop edition did not start")
        yield "http://" + text.partition("http://")[2]
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def main(arguments: list[str]) -> int:
    """Runs the demo.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m local.demo", description=__doc__)
    parser.add_argument("--cluster", choices=("local", "kubeconfig"), default="local")
    cluster = parser.parse_args(arguments).cluster
    choose_cluster(os.environ, cluster)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Path(folder, "log").open("w+b") as log:
        code = await _demonstrate(folder, log, cluster)
        if code:
            log.seek(0)
            print(log.read().decode(errors="replace"), file=sys.stderr)
            return code
    print(f"All steps gave what they should, in {time.monotonic() - began:.1f} s with start and stop.")
    return 0


async def _demonstrate(folder: str, log: IO[bytes], cluster: str) -> int:
    timeout = aiohttp.ClientTimeout(total=120)
    try:
        async with (
            laptop(folder, log, cluster) as url,
            aiohttp.ClientSession(headers={"X-Dev-User": _OWNER}, timeout=timeout) as http,
        ):
            await Demo(http, lambda _, path: url + path, kubernetes_says).run()
    except (StepFailed, GamguiError, aiohttp.ClientError, OSError) as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
