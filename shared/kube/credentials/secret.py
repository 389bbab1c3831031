"""Credentials as Kubernetes Secrets, one per owner: the adapter behind ``CredentialStore``."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

from shared.core.clusters.installation import Installation, id_of
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

_EARLIER = "earlier:"
"""Prefix of the version of a Secret that an earlier release made; Kubernetes' resourceVersion follows."""

_ANSWER_SECONDS = 10.0


class KubernetesSecrets:
    """Keeps credentials in Secrets of the namespace of the sessions.

    The Secret is always written whole, with the ``resourceVersion`` that was read: the API
    server refuses it with 409 when somebody else was faster
    (https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions). The
    Secret is not ``immutable``: an immutable one could only be deleted and made anew, and
    a session made between the two would have no credentials.

    The Secret's name and labels say which installation made it. Earlier releases made Secrets that do not
    say it. Such a Secret counts as long as there is no new one. The first write takes it over: it makes
    the new Secret with what the old one held, then deletes the old one if that was not changed meanwhile.
    Every later write and every removal deletes an old one that a crash has left.

    Args:
        api: The cluster.
        namespace: Namespace of the sessions.
        installation: Says which installation this is; None: Secrets do not say it.
    """

    def __init__(self, api: KubeApi, namespace: str, installation: Installation | None = None) -> None:
        self._api = api
        self._namespace = namespace
        self._installation = installation

    async def get(self, owner: Person) -> Credentials:
        """See ``CredentialStore``."""
        found = await self._find(owner.email)
        if not found.secret:
            return Credentials({})
        metadata, data = found.secret["metadata"], found.secret.get("data") or {}
        notes = metadata.get("annotations") or {}
        files = {
            name: CredentialFile(name, base64.b64decode(data[name]), _time(notes.get(_UPDATED + name)))
            for name in NAMES
            if name in data
        }
        theirs = notes.get(SUBJECT)
        subject = owner.subject if theirs == names.owner_hash(owner.subject) else theirs or ""
        require_same(subject, owner)
        return Credentials(files, found.version, subject, found.name)

    async def replace(self, owner: Person, credentials: Credentials) -> None:
        """See ``CredentialStore``."""
        installation, version = await id_of(self._installation), credentials.version
        places = _Places.of(owner.email, installation)
        body = self._secret(owner, credentials, installation)
        if not credentials.files:
            await self._delete_all(places, version)
        elif version.startswith(_EARLIER):
            await self._take_over(places, version, body)
        elif version:
            body["metadata"]["resourceVersion"] = version
            await self._request("PUT", places.own, body)
            await self._delete_left(places)
        else:
            await self._request("POST", "", body)

    async def remove(self, email: str) -> Sequence[str]:
        """See ``CredentialStore``."""
        found = await self._find(email)
        if not found.secret:
            return ()
        await self._delete_all(found.places, found.version)
        return _files_of(found.secret)

    async def rebind(self, email: str, subject: str) -> Sequence[str]:
        """See ``CredentialStore``. Everything else in the Secret stays as it is, its name too."""
        found = await self._find(email)
        secret = found.secret
        if not secret:
            return ()
        metadata = secret["metadata"]
        notes = metadata.get("annotations") or {}
        if notes.get(SUBJECT) == names.owner_hash(subject):
            return ()
        now = datetime.now(UTC).isoformat()
        metadata["annotations"] = {**notes, SUBJECT: names.owner_hash(subject), _PASSED_ON: now}
        await self._request("PUT", found.name, secret)
        return _files_of(secret)

    async def _find(self, email: str) -> _Found:
        """The Secret that counts."""
        places = _Places.of(email, await id_of(self._installation))
        # A takeover makes the new one before it deletes the old one. So if the new one was absent, and then
        # the old one too, the new one may have been made in between.
        for name in places.in_order:
            secret = await self._request("GET", name, None, absent={})
            if secret:
                return _Found(places, name, secret)
        return _Found(places, places.own, {})

    async def _take_over(self, places: _Places, version: str, body: JsonObject) -> None:
        """Makes the new Secret, and deletes the old one whose version is given."""
        made = await self._request("POST", "", body)
        deleted = False
        with contextlib.suppress(VersionConflict):
            # Sent once, so that "not found" says that somebody else deleted it.
            deleted = await self._delete(places.earlier, version.removeprefix(_EARLIER), once=True)
        if not deleted:
            # The new one may hold files that were removed meanwhile, or lack some that were put.
            await self._delete(places.own, made["metadata"]["resourceVersion"])
            raise VersionConflict("the credentials were changed meanwhile")

    async def _delete_all(self, places: _Places, version: str) -> None:
        """Deletes all Secrets of the owner if the one that counts still has this version.

        The one that counts goes last: otherwise the old one would count again until it is deleted too.
        """
        if not version.startswith(_EARLIER):
            await self._delete_left(places)
            await self._delete(places.own, version)
            return
        await self._delete(places.earlier, version.removeprefix(_EARLIER))
        if await self._request("GET", places.own, None, absent={}):
            raise VersionConflict("the credentials were taken over meanwhile")

    async def _delete_left(self, places: _Places) -> None:
        """Deletes the old Secret that a crash in a takeover may have left; it does not count any more."""
        if places.earlier != places.own:
            await self._delete(places.earlier)

    async def _delete(self, name: str, version: str = "", *, once: bool = False) -> bool:
        """Deletes a Secret, if its resourceVersion is this one; returns whether it was there."""
        options: JsonObject = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if version:
            options["preconditions"] = {"resourceVersion": version}
        return bool(await self._request("DELETE", name, options, absent={}, idempotent=not once))

    def _secret(self, owner: Person, credentials: Credentials, installation: str) -> JsonObject:
        files = credentials.files.values()
        metadata: ObjectMeta = {
            "name": names.credentials_name(owner.email, installation),
            "namespace": self._namespace,
            "labels": names.owner_labels(owner.email, installation),
            "annotations": {SUBJECT: names.owner_hash(owner.subject)}
            | {_UPDATED + file.name: file.updated_at.isoformat() for file in files if file.updated_at},
        }
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "type": "Opaque",
            "data": {file.name: base64.b64encode(file.data).decode() for file in files},
        }

    async def _request(
        self,
        method: str,
        name: str,
        body: Secret | JsonObject | None,
        absent: Secret | None = None,
        *,
        idempotent: bool = True,
    ) -> Secret:
        """Sends one request. Its errors have no cause, as the API server's or a webhook's words may quote."""
        path = f"/api/v1/namespaces/{self._namespace}/secrets" + (f"/{name}" if name else "")
        try:
            found = await self._api.request(
                method,
                path,
                body=cast("JsonObject | None", body),
                idempotent=idempotent,
                timeout_seconds=_ANSWER_SECONDS,
            )
        except ApiError as error:
            if error.code == 404 and absent is not None:
                return absent
            raise _refusal(error, replaces=method == "PUT") from None
        return cast("Secret", found)


@dataclasses.dataclass(frozen=True, slots=True)
class _Places:
    """The names that an owner's Secret may have: ours, and that of earlier releases."""

    own: str
    earlier: str

    @classmethod
    def of(cls, email: str, installation: str) -> _Places:
        return cls(names.credentials_name(email, installation), names.credentials_name(email))

    @property
    def in_order(self) -> Sequence[str]:
        """The names in the order in which a reader looks."""
        return (self.own,) if self.own == self.earlier else (self.own, self.earlier, self.own)


@dataclasses.dataclass(frozen=True, slots=True)
class _Found:
    """The Secret that counts; an empty one if there is none."""

    places: _Places
    name: str
    secret: Secret

    @property
    def version(self) -> str:
        """``Credentials.version``."""
        version = str(self.secret["metadata"].get("resourceVersion", ""))
        return version if self.name == self.places.own else _EARLIER + version


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
