"""The official Python client: REST, and exec as it has it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration, CoreV1Api
from kubernetes.aio.stream import WsApiClient

_STDOUT, _STDERR, _STATUS = 1, 2, 3


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    stdout: bytes
    stderr: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Official:
    """The client for one cluster.

    Attributes:
        core: REST.
        streams: The same API over WebSocket.
    """

    core: CoreV1Api
    streams: CoreV1Api

    async def run(self, namespace: str, pod: str, argv: Sequence[str], container: str) -> Ended:
        """Runs a command without input to its end."""
        said: dict[int, list[bytes]] = {_STDOUT: [], _STDERR: [], _STATUS: []}
        async for channel, data in self.messages(namespace, pod, argv, container):
            said[channel].append(data)
        stdout, stderr, status = (b"".join(said[channel]) for channel in (_STDOUT, _STDERR, _STATUS))
        return Ended(exit_code(status), stdout, stderr)

    async def messages(
        self, namespace: str, pod: str, argv: Sequence[str], container: str
    ) -> AsyncGenerator[tuple[int, bytes]]:
        """What a command without input says as it comes, each with its channel; last comes its status."""
        # Its annotations say that this is an HTTP response.
        upgrade: Any = await self.streams.connect_get_namespaced_pod_exec_without_preload_content(
            pod, namespace, command=list(argv), container=container, stdout=True, stderr=True, stdin=False
        )
        async with upgrade as socket:
            async for message in socket:
                yield message.data[0], message.data[1:]


def exit_code(status: bytes) -> int:
    """The exit code that the last message tells of, as the client reads it."""
    code: int = WsApiClient.parse_error_data(status.decode())  # type: ignore[no-untyped-call] # it has no annotations
    return code


@contextlib.asynccontextmanager
async def official(kubeconfig: str) -> AsyncGenerator[Official]:
    """The client, as the user of a kubeconfig."""
    configuration = Configuration()
    await config.load_kube_config(config_file=kubeconfig, client_configuration=configuration)  # type: ignore[no-untyped-call] # it has no annotations
    sockets = WsApiClient(configuration)  # type: ignore[no-untyped-call] # it has no annotations
    async with ApiClient(configuration) as rest, sockets:
        yield Official(CoreV1Api(rest), CoreV1Api(sockets))
