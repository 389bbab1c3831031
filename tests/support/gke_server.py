"""Google's Kubernetes Engine API as far as it is used: ``ClusterManager.GetCluster`` over gRPC."""

from __future__ import annotations

import base64
from types import TracebackType
from typing import Self

import grpc
from google.cloud.container_v1.types import Cluster, GetClusterRequest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

PATH = "projects/test-project/locations/europe-west1/clusters/sessions"


def cluster(**fields: object) -> Cluster:
    """A running cluster with the given fields of its message."""
    return Cluster({"name": "sessions", "status": Cluster.Status.RUNNING, **fields})


def public_cluster(address: str, authority: bytes) -> Cluster:
    """A cluster with a public address and its own certificate authority."""
    return cluster(endpoint=address, master_auth={"cluster_ca_certificate": base64.b64encode(authority)})


def dns_cluster(name: str, *, open_to_users: bool = True, **fields: object) -> Cluster:
    """A cluster whose DNS endpoint takes external traffic, or not."""
    dns = {"endpoint": name, "allow_external_traffic": open_to_users}
    return cluster(control_plane_endpoints_config={"dns_endpoint_config": dns}, **fields)


class GkeServer:
    """Answers GetCluster.

    Attributes:
        clusters: Clusters by resource name.
        errors: Errors to answer first, one each: status code and ``ErrorInfo.reason``.
        tokens: The Authorization header of each request.
        refused_tokens: Tokens that are answered with UNAUTHENTICATED.
    """

    def __init__(self) -> None:
        self.clusters: dict[str, Cluster] = {}
        self.errors: list[tuple[grpc.StatusCode, str]] = []
        self.tokens: list[str] = []
        self.refused_tokens: set[str] = set()
        self.port = 0
        self._server: grpc.aio.Server | None = None

    @property
    def endpoint(self) -> str:
        """What GKE_API_ENDPOINT must be."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        handler = grpc.unary_unary_rpc_method_handler(
            self._get_cluster,
            request_deserializer=GetClusterRequest.deserialize,
            response_serializer=Cluster.serialize,
        )
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    "google.container.v1.ClusterManager", {"GetCluster": handler}
                ),
            )
        )
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        await self._server.stop(None)

    async def _get_cluster(
        self, request: GetClusterRequest, context: grpc.aio.ServicerContext
    ) -> Cluster | None:
        token = dict(context.invocation_metadata()).get("authorization", "")
        self.tokens.append(token)
        if self.errors:
            code, reason = self.errors.pop(0)
            await context.abort_with_status(_status(code, reason))
        if not token or token in self.refused_tokens:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "Request had invalid credentials.")
        if request.name not in self.clusters:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"Not found: {request.name}.")
        return self.clusters[request.name]


def _status(code: grpc.StatusCode, reason: str) -> grpc.Status:
    info = any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(reason=reason, domain="googleapis.com"))
    message = status_pb2.Status(code=code.value[0], message="refused by 10.1.2.3", details=[info])
    return rpc_status.to_status(message)
