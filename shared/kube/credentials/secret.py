"""Credentials as Kubernetes Secrets, one per owner: the adapter behind ``CredentialStore``."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

from shared.core.credentials.model import NAMES, CredentialFile, Credentials
from shared.core.person import Person, require_same
from shared.core.sessions import names
from shared.errors import ClusterUnavailable, TooManyRequests, UnprocessableRequest, VersionConflict
from shared.kube.api.client import JsonObject, KubeApi
from shared.kube.api.errors import AdmissionDenied, ApiError, denied_by, exceeds_quota
from shared.kube.api.objects import ObjectMeta, Secret
from shared.reasons import Reason

_UPDATED = "gamgui.io/updated-"
"""Prefix of the annotation that says when a file was last put; the file's name follows."""

_PASSED_ON = f"{_UPDATED}owner"
"""The annotation that says when the Secret was passed on to another person."""

SUBJECT = "gamgui.io/subject"
"""The annotation with the hash of the owner's subject; the subject itself may hold an e-mail address.

The Secret's name says only for which address the Secret was made.
"""

_ANSWER_SECONDS = 10.0


class KubernetesSecrets:
    """Keeps credentials in Secrets of the namespace of the sessions.

    The Secret is always written whole, with the ``resourceVersion`` that was read: the API
    server refuses it with 409 when somebody else was faster
    (https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions). The
    Secret is not ``immutable``: an immutable one could only be deleted and made anew, and
    a session made between the two would have no credentials.

    Args:
        api: The cluster.
        namespace: Namespace of the sessions.
    """

    def __init__(self, api: KubeApi, namespace: str) -> None:
        self._api = api
        self._namespace = namespace

    async def get(self, owner: Person) -> Credentials:
        """See ``CredentialStore``."""
        secret = await self._request(
            "GET", names.credentials_name(owner.email), None, absent={"metadata": {}}
        )
        metadata, data = secret["metadata"], secret.get("data") or {}
        notes = metadata.get("annotations") or {}
        files = {
            name: CredentialFile(name, base64.b64decode(data[name]), _time(notes.get(_UPDATED + name)))
            for name in NAMES
            if name in data
        }
        theirs = notes.get(SUBJECT)
        subject = owner.subject if theirs == names.owner_hash(owner.subject) else theirs or ""
        require_same(subject, owner)
        return Credentials(files, str(metadata.get("resourceVersion", "")), subject)

    async def replace(self, owner: Person, credentials: Credentials) -> None:
        """See ``CredentialStore``."""
        name, version = names.credentials_name(owner.email), credentials.version
        if not credentials.files:
            options = {"apiVersion": "v1", "kind": "DeleteOptions"}
            only = {"preconditions": {"resourceVersion": version}} if version else {}
            await self._request("DELETE", name, {**options, **only}, absent={})
        elif version:
            await self._request("PUT", name, self._secret(owner, credentials))
        else:
            await self._request("POST", "", self._secret(owner, credentials))

    async def remove(self, email: str) -> Sequence[str]:
        """See ``CredentialStore``."""
        secret = await self._request("GET", names.credentials_name(email), None, absent={})
        if not secret:
            return ()
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"resourceVersion": secret["metadata"]["resourceVersion"]},
        }
        await self._request("DELETE", names.credentials_name(email), options, absent={})
        return _files_of(secret)

    async def rebind(self, email: str, subject: str) -> Sequence[str]:
        """See ``CredentialStore``. Everything else in the Secret stays as it is."""
        secret = await self._request("GET", names.credentials_name(email), None, absent={})
        if not secret:
            return ()
        metadata = secret["metadata"]
        notes = metadata.get("annotations") or {}
        if notes.get(SUBJECT) == names.owner_hash(subject):
            return ()
        now = datetime.now(UTC).isoformat()
        metadata["annotations"] = {**notes, SUBJECT: names.owner_hash(subject), _PASSED_ON: now}
        await self._request("PUT", names.credentials_name(email), secret)
        return _files_of(secret)

    def _secret(self, owner: Person, credentials: Credentials) -> JsonObject:
        files = credentials.files.values()
        metadata: ObjectMeta = {
            "name": names.credentials_name(owner.email),
            "namespace": self._namespace,
            "labels": names.owner_labels(owner.email),
            "annotations": {SUBJECT: names.owner_hash(owner.subject)}
            | {_UPDATED + file.name: file.updated_at.isoformat() for file in files if file.updated_at},
        }
        if credentials.version:
            metadata["resourceVersion"] = credentials.version
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "type": "Opaque",
            "data": {file.name: base64.b64encode(file.data).decode() for file in files},
        }

    async def _request(
        self, method: str, name: str, body: Secret | JsonObject | None, absent: Secret | None = None
    ) -> Secret:
        """Sends one request. Its errors have no cause, as the API server's or a webhook's words may quote."""
        path = f"/api/v1/namespaces/{self._namespace}/secrets" + (f"/{name}" if name else "")
        try:
            found = await self._api.request(
                method,
                path,
                body=cast("JsonObject | None", body),
                idempotent=True,
                timeout_seconds=_ANSWER_SECONDS,
            )
        except ApiError as error:
            if error.code == 404 and absent is not None:
                return absent
            raise _refusal(error, replaces=method == "PUT") from None
        return cast("Secret", found)


def _refusal(error: ApiError, *, replaces: bool) -> Exception:
    """What a refusal means, without quoting any words of Kubernetes but the name of what denied it."""
    if (error.code == 409 and not error.passes) or (error.code == 404 and replaces):
        return VersionConflict("the credentials were changed meanwhile")
    if exceeds_quota(error):
        return TooManyRequests(
            "the namespace's quota is used up", reason=Reason.NAMESPACE_QUOTA_EXCEEDED, retry_after_seconds=30
        )
    if isinstance(error, AdmissionDenied):
        by = denied_by(error.message) or "the API server's own admission"
        return UnprocessableRequest(
            f"the cluster does not admit the credentials' Secret: {by} denied it", reason=error.reason
        )
    hint = "; the functions' service account lacks a role in the namespace" if error.lacks_role else ""
    return ClusterUnavailable(
        f"Kubernetes answered {error.code} to a request for credentials{hint}",
        reason=error.reason,
        retry_after_seconds=error.retry_after_seconds,
    )


def _files_of(secret: Secret) -> Sequence[str]:
    return tuple(name for name in NAMES if name in (secret.get("data") or {}))


def last_change(annotations: Mapping[str, str]) -> datetime | None:
    """When a Secret's files were last put or passed on.

    Returns:
        None when that is not known: no annotation says it, or we did not write one of them.
    """
    times = [_time(text) for key, text in annotations.items() if key.startswith(_UPDATED)]
    known = [time for time in times if time is not None]
    return max(known) if known and len(known) == len(times) else None


def _time(text: str | None) -> datetime | None:
    """The time in an annotation; None when the annotation is absent or we did not write it."""
    try:
        time = datetime.fromisoformat(text or "")
        return None if time.utcoffset() is None else time.astimezone(UTC)
    except (OverflowError, ValueError):
        return None
