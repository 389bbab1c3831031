"""Google's access tokens, from wherever google-auth finds credentials.

On Cloud Run these are the service's own account, through the metadata server; elsewhere they
are those of ``gcloud auth application-default login`` or GOOGLE_APPLICATION_CREDENTIALS
(https://cloud.google.com/docs/authentication/application-default-credentials).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC
from typing import Any, TypeVar

import google.auth
import google.auth.exceptions
import google.auth.transport.requests
import requests

from shared.errors import ConnectionFailed
from shared.kube.connect.access.authorization import is_token
from shared.kube.connect.access.renewal import Lease, Renewal, lease_until
from shared.reasons import Reason

_T = TypeVar("_T")

SCOPES = (
    "https://www.googleapis.com/auth/cloud-platform",
    # Only with this scope is a service account's RBAC name its e-mail; else it is a number.
    # gke-gcloud-auth-plugin asks for the same two (cloud-provider-gcp,
    # cmd/gke-gcloud-auth-plugin/default_credentials_token_provider.go).
    "https://www.googleapis.com/auth/userinfo.email",
)
# google-auth's own REFRESH_THRESHOLD. The metadata server gives a new token from 5 minutes
# before the old one ends, so asking earlier than that would give the same one.
_MARGIN_SECONDS = 225.0
_GRACE_SECONDS = 5.0
_TIMEOUT_SECONDS = 20.0

# google-auth passes on the errors that its parsing of malformed files and answers runs into.
_FAILURES = (
    google.auth.exceptions.GoogleAuthError,
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
)


class GoogleCredentials:
    """Access tokens of one Google identity.

    google-auth blocks, so it runs in a thread. A token is renewed before it ends, and only
    once, however many requests wait for it. A refusal does not name the token, so refusals
    within 5 s of a renewal count as refusals of the old token.

    Args:
        credentials: google-auth's credentials, with ``SCOPES``.
        project: The project that the credentials belong to, if known.
        timeout_seconds: Longest time to get a token.
        now: The time of day, in seconds since the epoch.
    """

    def __init__(
        self,
        credentials: Any,
        project: str | None,
        *,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.project = project
        self._credentials = credentials
        self._timeout_seconds = timeout_seconds
        self._now = now
        self._token = Renewal(
            self._fetch, what="Google's access token", grace_seconds=_GRACE_SECONDS, now=now
        )

    @classmethod
    async def default(cls, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> GoogleCredentials:
        """Finds the credentials in this process's environment.

        Args:
            timeout_seconds: Longest time to find them, and later to get a token.

        Raises:
            ConnectionFailed: There are none, or they are malformed (reason
                ``GOOGLE_CREDENTIALS_MISSING``).
        """
        try:
            credentials, project = await _in_thread(_find, timeout_seconds)
        except _FAILURES as error:
            raise ConnectionFailed(
                "no Google credentials are found: on Cloud Run, run the service as a service account; "
                "elsewhere, run gcloud auth application-default login, "
                "or set GOOGLE_APPLICATION_CREDENTIALS to a valid file",
                reason=Reason.GOOGLE_CREDENTIALS_MISSING,
            ) from error
        return cls(credentials, project, timeout_seconds=timeout_seconds)

    async def authorization(self, *, refresh: bool = False) -> str | None:
        """The token as a header's value.

        Raises:
            ConnectionFailed: No token can be had (reason ``GOOGLE_CREDENTIALS_REFUSED`` or
                ``GOOGLE_CREDENTIALS_UNAVAILABLE``).
        """
        return "Bearer " + await self._token.get(refused=refresh)

    async def metadata(self, *, refresh: bool = False) -> list[tuple[str, str]]:
        """The metadata of a gRPC call to a Google API: the token, and the project whose quota it uses.

        Args:
            refresh: The API refused the last token.

        Raises:
            ConnectionFailed: No token can be had.
        """
        metadata = [("authorization", "Bearer " + await self._token.get(refused=refresh))]
        if quota_project := getattr(self._credentials, "quota_project_id", None):
            metadata.append(("x-goog-user-project", quota_project))
        return metadata

    async def _fetch(self) -> Lease[str]:
        try:
            await _in_thread(self._refresh, self._timeout_seconds)
            token, expiry = self._credentials.token, self._credentials.expiry
            if not isinstance(token, str) or not is_token(token):
                raise ValueError("not a token")
        except _FAILURES as error:
            raise _no_token(error) from error
        expires_at = expiry.replace(tzinfo=UTC).timestamp() if expiry else None
        return lease_until(token, expires_at, margin_seconds=_MARGIN_SECONDS, now=self._now())

    def _refresh(self) -> None:
        with requests.Session() as session:
            self._credentials.refresh(google.auth.transport.requests.Request(session))


def _find() -> tuple[Any, str | None]:
    with requests.Session() as session:
        request = google.auth.transport.requests.Request(session)
        credentials, project = google.auth.default(scopes=SCOPES, request=request)
    return credentials, project


async def _in_thread(call: Callable[[], _T], timeout_seconds: float) -> _T:
    """Runs a blocking call. Nothing can stop it, but the wait for it ends after ``timeout_seconds``."""
    async with asyncio.timeout(timeout_seconds):
        return await asyncio.to_thread(call)


def _no_token(error: Exception) -> ConnectionFailed:
    if (
        isinstance(error, google.auth.exceptions.GoogleAuthError)
        and not error.retryable
        and not _is_transport(error)
    ):
        return ConnectionFailed(
            "Google refuses an access token for the credentials found: check that the service account "
            "exists, is enabled and its key is valid, or log in with gcloud auth application-default login",
            reason=Reason.GOOGLE_CREDENTIALS_REFUSED,
        )
    return ConnectionFailed(
        "no access token from Google: the metadata server or token endpoint does not answer properly; "
        "on Cloud Run this passes, elsewhere check the network",
        reason=Reason.GOOGLE_CREDENTIALS_UNAVAILABLE,
        retry_after_seconds=5,
    )


def _is_transport(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, google.auth.exceptions.TransportError):
            return True
        error = error.__cause__
    return False
