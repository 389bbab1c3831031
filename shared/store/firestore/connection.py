"""The connection to Firestore: credentials, channel, limited attempts, and translated errors.

It uses the library's generated client, not the ``AsyncClient`` above it. The latter reads
FIRESTORE_EMULATOR_HOST from the environment by itself, cannot be closed, and has no conditional ``set``.
Both are in the same package and cost the same to import.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import google.auth
import grpc.aio
import stamina
from google.api_core import exceptions as google_errors
from google.auth.exceptions import GoogleAuthError
from google.cloud.firestore_v1.services.firestore import FirestoreAsyncClient
from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcAsyncIOTransport

from shared.errors import ConfigurationError, GamguiError, InternalError, StoreUnavailable
from shared.reasons import Reason

EMULATOR_PROJECT = "gamgui-local"
"""Project for the emulator when none is set; the emulator accepts any project."""

OPERATION_SECONDS = 10.0
"""Longest time that one operation of the store may take, in seconds, including retries."""

ATTEMPT_SECONDS = 4.0
"""Longest time of one call, in seconds. It ends calls on a connection that died while the instance slept."""

MAX_ATTEMPTS = 5

TRANSIENT = (
    google_errors.Aborted,
    google_errors.Cancelled,
    google_errors.DeadlineExceeded,
    google_errors.InternalServerError,
    google_errors.RetryError,
    google_errors.ServiceUnavailable,
    google_errors.TooManyRequests,
    google_errors.Unknown,
)
"""Errors after which a retry may succeed, and after which a write may have been applied."""

_SCOPE = "https://www.googleapis.com/auth/datastore"
# These are the values of Google's own client; only the timeout of the ping is ours.
_CHANNEL_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
)
_LOOPBACK_OPTIONS = (*_CHANNEL_OPTIONS, ("grpc.enable_http_proxy", 0))

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Connection:
    """A client of one database.

    Attributes:
        client: The generated client; its calls take ``metadata``.
        database: Resource name of the database, ``projects/<project>/databases/<database>``.
        metadata: gRPC metadata that every call sends.
    """

    client: FirestoreAsyncClient
    database: str
    metadata: tuple[tuple[str, str], ...]

    def document(self, collection: str, document_id: str) -> str:
        """Resource name of a document."""
        return f"{self.database}/documents/{collection}/{document_id}"

    async def close(self) -> None:
        """Closes the channel."""
        await self.client.transport.close()  # type: ignore[no-untyped-call] # the library has no annotations there


async def connect(project: str, database: str, emulator_host: str) -> Connection:
    """Makes the client. Call it on the loop that uses the client. Nothing is sent yet.

    Args:
        project: Google Cloud project; empty: the project of the credentials.
        database: Name of the database in the project.
        emulator_host: host:port of an emulator, which needs no credentials; empty: Google's service.

    Raises:
        StoreUnavailable: There are no credentials (reason ``STORE_FORBIDDEN``).
        ConfigurationError: The project is neither set nor known to the credentials.
    """
    if emulator_host:
        project = project or EMULATOR_PROJECT
        channel = grpc.aio.insecure_channel(emulator_host, options=_LOOPBACK_OPTIONS)
        # The emulator's security rules let the token "owner" do everything.
        emulator_metadata = [("authorization", "Bearer owner")]
    else:
        credentials, found = await _default_credentials()
        project = project or found
        channel = FirestoreGrpcAsyncIOTransport.create_channel(
            credentials=credentials, options=_CHANNEL_OPTIONS
        )
        emulator_metadata = []
    if not project:
        raise ConfigurationError("GOOGLE_CLOUD_PROJECT is not set", variable="GOOGLE_CLOUD_PROJECT")
    name = f"projects/{project}/databases/{database}"
    client = FirestoreAsyncClient(transport=FirestoreGrpcAsyncIOTransport(channel=channel))
    return Connection(client, name, (("google-cloud-resource-prefix", name), *emulator_metadata))


async def _default_credentials() -> tuple[Any, str]:
    """Google's application default credentials and their project, found in a thread, off the loop."""
    try:
        async with asyncio.timeout(OPERATION_SECONDS):
            credentials, project = await asyncio.to_thread(google.auth.default, scopes=[_SCOPE])
    except (GoogleAuthError, TimeoutError) as error:
        raise StoreUnavailable(
            "No Google credentials were found for Firestore. Run `gcloud auth application-default "
            "login`, or set SESSION_STORE=sqlite.",
            reason=Reason.STORE_FORBIDDEN,
        ) from error
    return credentials, project or ""


async def attempts(call: Callable[[float], Awaitable[T]]) -> T:
    """Repeats a call after transient errors, until it succeeds or the time of one operation is over.

    Args:
        call: Makes one attempt; its argument is the attempt's timeout in seconds.

    Raises:
        StoreUnavailable: See ``translated``.
    """
    deadline = time.monotonic() + OPERATION_SECONDS
    with translated():
        async for attempt in stamina.retry_context(
            on=TRANSIENT,
            attempts=MAX_ATTEMPTS,
            timeout=OPERATION_SECONDS - 1,
            wait_initial=0.05,
            wait_max=1.0,
            wait_jitter=0.1,
        ):
            with attempt:
                left = deadline - time.monotonic()
                return await call(max(0.1, min(ATTEMPT_SECONDS, left)))
    raise AssertionError("retry_context returns or raises")


@contextmanager
def translated() -> Iterator[None]:
    """Turns the library's errors into ours. Their details say what to do."""
    try:
        yield
    except google_errors.GoogleAPICallError as error:
        raise _ours(error) from error
    except (google_errors.RetryError, GoogleAuthError, grpc.RpcError) as error:
        raise StoreUnavailable("Firestore does not answer.") from error


def _ours(error: google_errors.GoogleAPICallError) -> GamguiError:
    match error:
        case google_errors.Forbidden() | google_errors.Unauthorized():
            return StoreUnavailable(
                "Firestore refuses this service's account: it needs the role roles/datastore.user "
                "in the database's project.",
                reason=Reason.STORE_FORBIDDEN,
            )
        case google_errors.NotFound():
            return StoreUnavailable(
                "The Firestore database does not exist: check GOOGLE_CLOUD_PROJECT and "
                "FIRESTORE_DATABASE, or create it with Terraform.",
                reason=Reason.STORE_NOT_FOUND,
            )
        case google_errors.FailedPrecondition():
            return StoreUnavailable(
                "Firestore lacks an index of this query, or is still building it: apply the Terraform "
                "configuration and wait until its indexes are ready.",
                reason=Reason.STORE_NOT_READY,
            )
        case google_errors.BadRequest():
            return InternalError(
                "The session store does not take this document.", reason=Reason.STORE_REFUSED
            )
        case _:
            return StoreUnavailable("Firestore does not answer.")
