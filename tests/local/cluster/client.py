"""A small client of the API for these tests: plain aiohttp, no client library between test and server."""

import asyncio
import contextlib
import io
import json
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp
import yarl

from local.cluster import LocalCluster

V4, V5 = "v4.channel.k8s.io", "v5.channel.k8s.io"
DEADLINE_S = 300.0


@dataclass(frozen=True)
class Answer:
    status: int
    content_type: str
    body: Any
    headers: dict[str, str]
    warnings: tuple[str, ...] = ()


@dataclass
class Session:
    """An exec session as its client saw it."""

    frames: list[bytes] = field(default_factory=list)
    subprotocol: str | None = None

    def channel(self, number: int) -> bytes:
        return b"".join(frame[1:] for frame in self.frames if frame[0] == number)

    @property
    def stdout(self) -> bytes:
        return self.channel(1)

    @property
    def stderr(self) -> bytes:
        return self.channel(2)

    @property
    def status(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.channel(3))
        return decoded

    @property
    def exit_code(self) -> int:
        if self.status["status"] == "Success":
            return 0
        return next(int(c["message"]) for c in self.status["details"]["causes"] if c["reason"] == "ExitCode")


class Client:
    """Requests as the administrator, unless another token is given."""

    def __init__(self, cluster: LocalCluster, session: aiohttp.ClientSession) -> None:
        self.cluster = cluster
        self.session = session
        self.tls = ssl.create_default_context(cafile=str(cluster.ca_file))

    def headers(self, token: str | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.cluster.token if token is None else token}"}

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str | None = "application/json",
        token: str | None = None,
        headers: dict[str, str] | None = None,
        untyped: bool = False,
    ) -> Answer:
        skipped = ("Content-Type",) if untyped else ()
        sent = {**self.headers(token), **(headers or {})}
        data = None
        if body is not None:
            data = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
            if content_type is not None:
                sent["Content-Type"] = content_type
        url = yarl.URL(self.cluster.url + path, encoded=True)
        async with self.session.request(
            method, url, data=data, headers=sent, ssl=self.tls, skip_auto_headers=skipped
        ) as response:
            raw = await response.read()
            is_json = response.content_type == "application/json"
            content = json.loads(raw) if is_json and b"}\n{" not in raw else raw.decode()
            kind = response.headers.get("Content-Type", "")
            warnings = tuple(response.headers.getall("Warning", ()))
            return Answer(response.status, kind, content, dict(response.headers), warnings)

    async def get(self, path: str) -> Any:
        answer = await self.request("GET", path)
        assert answer.status == 200, answer.body
        return answer.body

    async def create(self, path: str, body: Any) -> Any:
        answer = await self.request("POST", path, body)
        assert answer.status == 201, answer.body
        return answer.body

    @contextlib.asynccontextmanager
    async def watch(self, path: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        timeout = aiohttp.ClientTimeout(total=None)
        url = yarl.URL(self.cluster.url + path, encoded=True)
        async with self.session.get(url, headers=self.headers(), ssl=self.tls, timeout=timeout) as response:
            assert response.status == 200, await response.text()

            async def events() -> AsyncIterator[dict[str, Any]]:
                while line := await response.content.readline():
                    yield json.loads(line)

            yield events()

    async def until(
        self, path: str, condition: Callable[[dict[str, Any]], bool], *, deadline_s: float = DEADLINE_S
    ) -> list[dict[str, Any]]:
        """Watch a collection (with its query) until an event satisfies the condition; return all events."""
        seen = []
        async with asyncio.timeout(deadline_s), self.watch(path) as events:
            async for event in events:
                seen.append(event)
                if condition(event):
                    return seen
        raise AssertionError(f"the watch ended early: {[event['type'] for event in seen]}")

    async def pod_until(
        self, name: str, condition: Callable[[dict[str, Any]], bool], *, namespace: str = "rec"
    ) -> dict[str, Any]:
        """Wait until a pod satisfies the condition and return it."""
        path = f"/api/v1/namespaces/{namespace}/pods?watch=1&fieldSelector=metadata.name%3D{name}"
        events = await self.until(path, lambda event: condition(event["object"]))
        pod: dict[str, Any] = events[-1]["object"]
        return pod

    async def ready(self, name: str, *, namespace: str = "rec") -> dict[str, Any]:
        return await self.pod_until(name, is_ready, namespace=namespace)

    async def events_of(self, name: str, wanted: int, *, namespace: str = "rec") -> list[dict[str, Any]]:
        """Return the Events about a pod once there are at least so many."""
        path = f"/api/v1/namespaces/{namespace}/events?fieldSelector=involvedObject.name%3D{name}"
        seen: set[str] = set()

        def enough(event: dict[str, Any]) -> bool:
            seen.add(event["object"]["metadata"]["name"])
            return len(seen) >= wanted

        await self.until(path + "&watch=1", enough)
        items: list[dict[str, Any]] = (await self.get(path))["items"]
        return items

    @contextlib.asynccontextmanager
    async def connect(
        self, path: str, *, protocols: tuple[str, ...] = (V5,), method: str = "GET", token: str | None = None
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        async with self.session.ws_connect(
            yarl.URL(self.cluster.url + path, encoded=True),
            method=method,
            headers=self.headers(token),
            protocols=protocols,
            ssl=self.tls,
            max_msg_size=0,
        ) as socket:
            yield socket

    async def exec(
        self,
        pod: str,
        *command: str,
        stdin: bytes | None = None,
        protocols: tuple[str, ...] = (V5,),
        method: str = "GET",
        namespace: str = "rec",
    ) -> Session:
        """Run a command to its end. With ``stdin``, that is sent and then closed (v5)."""
        path = exec_path(pod, *command, stdin=stdin is not None, namespace=namespace)
        session = Session()
        async with (
            asyncio.timeout(DEADLINE_S),
            self.connect(path, protocols=protocols, method=method) as socket,
        ):
            session.subprotocol = socket.protocol
            feeding = asyncio.create_task(_feed(socket, stdin))
            async for message in socket:
                session.frames.append(message.data)
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
        return session


async def _feed(socket: aiohttp.ClientWebSocketResponse, data: bytes | None) -> None:
    if data is None:
        return
    for start in range(0, len(data), 32768):
        await socket.send_bytes(b"\0" + data[start : start + 32768])
    await socket.send_bytes(b"\xff\0")


def exec_path(
    pod: str,
    *command: str,
    container: str = "session",
    stdin: bool = False,
    stdout: bool = True,
    stderr: bool = True,
    tty: bool = False,
    namespace: str = "rec",
) -> str:
    flags = {"stdin": stdin, "stdout": stdout, "stderr": stderr, "tty": tty}
    query = [("command", part) for part in command] + [("container", container)]
    query += [(name, str(value).lower()) for name, value in flags.items()]
    return f"/api/v1/namespaces/{namespace}/pods/{pod}/exec?{urlencode(query)}"


async def until(condition: Callable[[], bool], *, deadline_s: float = DEADLINE_S) -> None:
    """Wait for something outside the API that nothing announces, such as the end of a stranger's process."""
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.02)


def is_ready(pod: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def pod_manifest(name: str, *command: str, **spec: Any) -> dict[str, Any]:
    """A pod as the recordings have it."""
    container = {"name": "session", "image": "localhost/busybox:1", "imagePullPolicy": "Never"}
    container |= {"command": list(command or ("sleep", "3600"))} | spec.pop("container", {})
    base = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "rec"}},
        "spec": {
            **base,
            "dnsPolicy": "Default",
            "enableServiceLinks": False,
            "containers": [container],
            **spec,
        },
    }


def session_manifest(name: str, script: str, **spec: Any) -> dict[str, Any]:
    """A pod as the product makes it: restricted, with its own workspace, home and /tmp."""
    folders = {"work": "/workspace", "home": "/home/gam", "tmp": "/tmp"}
    security = {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    container = {
        "command": ["/bin/sh", "-c", script],
        "env": [{"name": "HOME", "value": "/home/gam"}],
        "workingDir": "/workspace",
        "securityContext": security,
        "volumeMounts": [{"name": volume, "mountPath": path} for volume, path in folders.items()],
        **spec.pop("container", {}),
    }
    pod_security = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    volumes = [{"name": volume, "emptyDir": {}} for volume in folders] + spec.pop("volumes", [])
    return pod_manifest(
        name,
        container=container,
        securityContext=pod_security,
        volumes=volumes,
        activeDeadlineSeconds=300,
        **spec,
    )
