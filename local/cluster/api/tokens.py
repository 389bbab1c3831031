"""Issues and recognizes the tokens of service accounts: signed JWTs, bound to what must still be there.

Rules: k8s.io/kubernetes, pkg/serviceaccount/claims.go and pkg/registry/core/serviceaccount/storage/token.go.
"""

import base64
import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from ..clock import timestamp
from ..objects import Object
from ..objects.errors import ApiError, Cause, bad_request, conflict, invalid, not_found
from ..objects.resources import NODES, PODS, SECRETS, SERVICE_ACCOUNTS, TOKEN_REQUESTS, Resource
from ..objects.shapes import check_shape, without_nulls
from ..store import Store
from .access import User
from .requests import Target

AUDIENCE = "https://kubernetes.default.svc"
_DEFAULT_S, _LEAST_S, _MOST_S = 3600, 600, 2**32
# A token, and what it is bound to, may be over for so long: the default of the library that Kubernetes uses.
_LEEWAY_S = 60
_BOUND = {"Pod": PODS, "Secret": SECRETS, "Node": NODES}
_EXTRA = "authentication.kubernetes.io"
_HALF = 32  # bytes of each half of an ES256 signature


class AccountTokens:
    """The tokens of one cluster; a token of another cluster, or of an earlier start, is unknown.

    Args:
        store: Holds the accounts and what tokens are bound to.
        now: Returns the time in seconds since the epoch.
    """

    def __init__(self, store: Store, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())

    def issue(self, target: Target, body: Object) -> Object:
        """Answer a ``TokenRequest``.

        Args:
            target: The account, with the subresource ``token``.
            body: The request.

        Returns:
            The request with its defaults, the token and the time at which the token expires.

        Raises:
            ApiError: 400, 404, 409 or 422.
        """
        account = self._store.get(SERVICE_ACCOUNTS, target.namespace, target.name)
        if account is None:
            raise not_found(SERVICE_ACCOUNTS, target.name)
        body = without_nulls(body)
        check_shape(TOKEN_REQUESTS, body)
        _check_name(target.name, (body.get("metadata") or {}).get("name", ""))
        spec = body.get("spec") or {}
        seconds = spec.get("expirationSeconds", _DEFAULT_S)
        _check_seconds(seconds)
        reference = spec.get("boundObjectRef")
        bound = self._bound(account, reference) if reference else {}
        issued = int(self._now())
        audiences = spec.get("audiences") or [AUDIENCE]
        claims = {"aud": audiences, "exp": issued + seconds, "iat": issued, "iss": AUDIENCE, "nbf": issued}
        whose = {"namespace": target.namespace, "serviceaccount": _reference(account), **bound}
        claims |= {"jti": str(uuid.uuid4()), "kubernetes.io": whose, "sub": _subject(target)}
        expires = datetime.fromtimestamp(issued + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata = {key: account["metadata"][key] for key in ("name", "namespace", "uid")}
        return {
            "kind": TOKEN_REQUESTS.kind,
            "apiVersion": TOKEN_REQUESTS.api_version,
            "metadata": {**metadata, "creationTimestamp": timestamp()},
            "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": reference},
            "status": {"token": self._signed(claims), "expirationTimestamp": expires},
        }

    def _bound(self, account: Object, reference: Object) -> Object:
        """Return the claims about the object to which a token is bound."""
        kind, name = reference.get("kind", ""), reference.get("name", "")
        resource = _BOUND.get(kind)
        version = reference.get("apiVersion") or "v1"
        if resource is None or version != "v1":
            group, _, plain = version.rpartition("/")
            raise bad_request(f"cannot bind token to object of type {group}/{plain}, Kind={kind}")
        found = self._store.get(
            resource, account["metadata"]["namespace"] if resource.namespaced else "", name
        )
        if found is None:
            raise not_found(resource, name)
        if (uid := reference.get("uid")) and uid != found["metadata"]["uid"]:
            raise _other_uid(kind, name, uid)
        claims = {kind.lower(): _reference(found)}
        if resource is PODS:
            owner = account["metadata"]["name"]
            if found["spec"]["serviceAccountName"] != owner:
                why = f'cannot bind token for serviceaccount "{owner}" to pod running with different '
                raise bad_request(why + "serviceaccount name.")
            node = self._store.get(NODES, "", found["spec"].get("nodeName", ""))
            claims |= {"node": _reference(node)} if node is not None else {}
        return claims

    def user(self, token: str) -> User | None:
        """Return the account that a token proves, or None for a token that is not valid now."""
        claims = self._verified(token)
        if claims is None or AUDIENCE not in claims["aud"]:
            return None
        now = self._now()
        if now > claims["exp"] + _LEEWAY_S or now < claims["nbf"] - _LEEWAY_S:
            return None
        whose = claims["kubernetes.io"]
        namespace, account = whose["namespace"], whose["serviceaccount"]
        needed = [(SERVICE_ACCOUNTS, account)]
        needed += [(_BOUND[kind.title()], whose[kind]) for kind in ("pod", "secret") if kind in whose]
        if "node" in whose and "pod" not in whose:
            needed.append((NODES, whose["node"]))
        if not all(self._exists(resource, namespace, known, now) for resource, known in needed):
            return None
        extra = [(f"{_EXTRA}/credential-id", f"JTI={claims['jti']}")]
        for kind in ("node", "pod"):
            if kind in whose:
                extra += [(f"{_EXTRA}/{kind}-{field}", whose[kind][field]) for field in ("name", "uid")]
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
        return User(claims["sub"], groups, account["uid"], tuple(extra))

    def _exists(self, resource: Resource, namespace: str, known: Object, now: float) -> bool:
        found = self._store.get(resource, namespace if resource.namespaced else "", known["name"])
        if found is None or found["metadata"]["uid"] != known["uid"]:
            return False
        ends = found["metadata"].get("deletionTimestamp")
        return ends is None or datetime.fromisoformat(ends).timestamp() >= now - _LEEWAY_S

    def _signed(self, claims: Object) -> str:
        head = {"alg": "ES256", "kid": "local", "typ": "JWT"}
        text = ".".join(_encoded(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims))
        first, second = decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_encoded(first.to_bytes(_HALF, 'big') + second.to_bytes(_HALF, 'big'))}"

    def _verified(self, token: str) -> Any:
        """Return the claims of a token that this cluster has signed, else None."""
        text, _, signature = token.rpartition(".")
        try:
            raw = _decoded(signature)
            if len(raw) != 2 * _HALF:
                return None
            halves = (int.from_bytes(raw[:_HALF], "big"), int.from_bytes(raw[_HALF:], "big"))
            public = self._key.public_key()
            public.verify(encode_dss_signature(*halves), text.encode(), ec.ECDSA(hashes.SHA256()))
        except (ValueError, InvalidSignature):
            return None
        return json.loads(_decoded(text.partition(".")[2]))


def _check_name(account: str, named: str) -> None:
    if named and named != account:
        why = "must match the service account name if specified"
        cause = Cause("metadata.name", "FieldValueInvalid", f'Invalid value: "{named}": {why}')
        raise invalid(TOKEN_REQUESTS, account, [cause])


def _check_seconds(seconds: int) -> None:
    why = ""
    if seconds < _LEAST_S:
        why = "may not specify a duration less than 10 minutes"
    elif seconds > _MOST_S:
        why = "may not specify a duration larger than 2^32 seconds"
    if why:
        cause = Cause("spec.expirationSeconds", "FieldValueInvalid", f"Invalid value: {seconds}: {why}")
        raise invalid(TOKEN_REQUESTS, "", [cause])


def _other_uid(kind: str, name: str, uid: str) -> ApiError:
    why = (
        f"the UID in the bound object reference ({uid}) does not match the UID in record. "
        "The object might have been deleted and then recreated"
    )
    # The API server names the kind here, and not the resource.
    return conflict(Resource(kind, kind), name, why)


def _reference(found: Object) -> Object:
    return {"name": found["metadata"]["name"], "uid": found["metadata"]["uid"]}


def _subject(target: Target) -> str:
    return f"system:serviceaccount:{target.namespace}:{target.name}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
