"""Serves the subresources of pods that stream: exec and log."""

import contextlib

from aiohttp import web
from multidict import MultiMapping

from ..kubelet.containers import ContainerRunner
from ..kubelet.kubelet import Kubelet
from ..kubelet.logs import render
from ..objects import Object
from ..objects.errors import ApiError, bad_request
from ..store import Store
from ..streams.session import PROTOCOLS, ExecOptions, ExecSession
from .reads import read
from .requests import Target, flag, number


async def exec_in_pod(
    request: web.Request, store: Store, kubelet: Kubelet, target: Target
) -> web.StreamResponse:
    """Serve ``exec``.

    Raises:
        ApiError: 400 or 404, before the upgrade to a WebSocket.
    """
    pod = read(store, target)
    options = _exec_options(request.query)
    name = _container_name(pod, target.query.get("container", ""))
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise bad_request("Upgrade request required")
    _check_reachable(kubelet, "error dialing backend")
    offered = [item.strip() for item in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    if not any(protocol in PROTOCOLS for protocol in offered):
        response = web.Response(status=403)
        response.force_close()
        return response
    worker = kubelet.worker(pod["metadata"]["uid"])
    runner = worker.runner(name) if worker is not None else None
    ended = pod["status"]["phase"] in ("Succeeded", "Failed")
    if runner is None or (runner.running is None and not (ended and runner.state.container_id)):
        return web.Response(status=500, text=f'container not found ("{name}")')
    return await ExecSession(request, options).run(runner.running, runner.state.container_id)


def _check_reachable(kubelet: Kubelet, what: str) -> None:
    if not kubelet.reachable:
        raise ApiError(500, "", f"{what}: dial tcp 127.0.0.1:10250: connect: connection refused")


def _exec_options(query: MultiMapping[str]) -> ExecOptions:
    command = tuple(query.getall("command", []))
    options = ExecOptions(
        command, flag(query, "stdin"), flag(query, "stdout"), flag(query, "stderr"), flag(query, "tty")
    )
    if not command or not command[0]:
        raise bad_request("you must specify at least one command for the container")
    if any("\0" in argument for argument in command):
        raise bad_request("a command cannot contain NUL")
    if not (options.stdin or options.stdout or options.stderr):
        raise bad_request("you must specify at least 1 of stdin, stdout, stderr")
    if options.tty and options.stderr:
        raise bad_request("tty and stderr cannot both be true")
    return options


def _container_name(pod: Object, asked: str) -> str:
    """Return the name of the requested container; without a request, that of the pod's only container."""
    containers = [item["name"] for item in pod["spec"]["containers"]]
    inits = [item["name"] for item in pod["spec"].get("initContainers") or []]
    pod_name = pod["metadata"]["name"]
    if not asked:
        if len(containers) == 1:
            return str(containers[0])
        listed = " ".join(containers)
        raise bad_request(f"a container name must be specified for pod {pod_name}, choose one of: [{listed}]")
    if asked not in (*containers, *inits):
        raise bad_request(f"container {asked} is not valid for pod {pod_name}")
    return asked


async def pod_log(request: web.Request, store: Store, kubelet: Kubelet, target: Target) -> web.StreamResponse:
    """Serve ``log``.

    Raises:
        ApiError: 400 or 404.
    """
    pod = read(store, target)
    name = _container_name(pod, target.query.get("container", ""))
    where = f"containerLogs/{target.namespace}/{target.name}/{name}"
    _check_reachable(kubelet, f'Get "https://{pod["spec"].get("nodeName", "")}:10250/{where}"')
    worker = kubelet.worker(pod["metadata"]["uid"])
    runner = worker.runner(name) if worker is not None else None
    previous = flag(target.query, "previous")
    tail, limit = number(target.query, "tailLines"), number(target.query, "limitBytes")
    if runner is None or len(runner.logs) <= previous:
        raise bad_request(_no_log(pod["metadata"]["name"], name, runner, previous=previous))
    log = runner.logs[int(previous)]
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    response.enable_chunked_encoding()
    timestamps = flag(target.query, "timestamps")
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        if flag(target.query, "follow"):
            async for records in log.follow(tail):
                await response.write(b"".join(render(records, timestamps=timestamps)))
        else:
            kept = log.records()
            kept = kept[max(len(kept) - tail, 0) :] if tail is not None else kept
            await response.write(b"".join(render(kept, timestamps=timestamps))[:limit])
        await response.write_eof()
    return response


def _no_log(pod: str, name: str, runner: ContainerRunner | None, *, previous: bool) -> str:
    if previous:
        return f'previous terminated container "{name}" in pod "{pod}" not found'
    waiting = (runner.state.state.get("waiting") or {}) if runner is not None else {}
    reasons = {
        "ErrImagePull": "image can't be pulled",
        "ImagePullBackOff": "trying and failing to pull image",
    }
    why = reasons.get(waiting.get("reason", ""), waiting.get("reason", "ContainerCreating"))
    return f'container "{name}" in pod "{pod}" is waiting to start: {why}'
