"""Bodies of requests: their shape, bounds and defaults. Unknown fields are refused."""

from __future__ import annotations

import atexit
import gc
import re
from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from shared.core.sessions import names, variables
from shared.core.sessions.model import Resources
from shared.core.sessions.new_session import NewSession
from shared.core.sessions.update import Changes
from shared.errors import InvalidRequest, PermissionDenied
from shared.images import is_listed
from shared.quantities import quantity
from shared.reasons import Reason
from shared.settings.images import ImageSettings
from shared.settings.sessions import SessionSettings

# msgspec 0.22.0 crashes when its classes are collected at the interpreter's end (TypeNode_Free).
# Frozen objects are not collected.
atexit.register(gc.freeze)

# Patterns are ECMA 262's, as openapi.yaml has them. Python's ``$`` would let a line break at the
# end pass; the look-ahead refuses it in both languages.
_END = r"$(?!\n)"
_NAME = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]*" + _END
_IMAGE = r"^[a-zA-Z0-9][-a-zA-Z0-9._/:@]{0,511}" + _END
_QUANTITY = r"^[0-9]{1,9}(\.[0-9]{1,9})?(m|Ki|Mi|Gi|Ti|k|M|G|T)?" + _END
NO_NUL = r"^[^\x00]*" + _END
PATH = r"^(/[^\x00\n]*)?" + _END
BASE64 = r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?" + _END
MAX_SECONDS = 2**31 - 1
_MAX_SHOWN = 300
_PLACE = re.compile(r"`\$\.(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")
_WRONG_TYPE = re.compile(r"Expected `[^`]+`, got `")

Name = Annotated[str, msgspec.Meta(max_length=100, pattern=_NAME)]
Quantity = Annotated[str, msgspec.Meta(pattern=_QUANTITY)]
LabelKey = Annotated[str, msgspec.Meta(max_length=317)]
LabelValue = Annotated[str, msgspec.Meta(max_length=63)]
LabelMap = Annotated[dict[LabelKey, LabelValue], msgspec.Meta(max_length=32)]
EnvName = Annotated[str, msgspec.Meta(max_length=256)]
EnvValue = Annotated[str, msgspec.Meta(max_length=32768, pattern=NO_NUL)]
EnvMap = Annotated[dict[EnvName, EnvValue], msgspec.Meta(max_length=128)]
CredentialName = Literal["client_secrets.json", "oauth2.txt", "oauth2service.json"]
CredentialNames = Annotated[list[CredentialName], msgspec.Meta(max_length=3)]
Argument = Annotated[str, msgspec.Meta(max_length=131072, pattern=NO_NUL)]
Seconds = Annotated[int, msgspec.Meta(ge=60, le=MAX_SECONDS)]
_Body = TypeVar("_Body", bound=msgspec.Struct)


class ResourcesBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """``resources`` of a session: Kubernetes quantities."""

    cpu: Quantity | None = None
    memory: Quantity | None = None


class CreateSessionBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Body of ``POST /v1/sessions``."""

    name: Name = ""
    image: Annotated[str, msgspec.Meta(pattern=_IMAGE)] | None = None
    resources: ResourcesBody = ResourcesBody()
    env: EnvMap = {}
    labels: LabelMap = {}
    credentials: CredentialNames | UnsetType = UNSET
    ttl_seconds: Seconds | None = None
    idle_seconds: Seconds | None = None
    wait_seconds: Annotated[float, msgspec.Meta(ge=0, le=60)] = 30

    def to_new_session(self, sessions: SessionSettings, images: ImageSettings) -> NewSession:
        """Checks what the shape alone does not say and fills in the operator's defaults.

        Args:
            sessions: Defaults and bounds.
            images: The default image, and which images are allowed.

        Raises:
            InvalidRequest: A value breaks a rule; the error names the field.
            PermissionDenied: The image is not allowed.
        """
        refuse("labels", names.label_fault(self.labels), Reason.INVALID_LABEL)
        refuse("env", names.env_fault(self.env))
        variables.require_session_room(self.env)
        image = self.image or images.default
        if not image:
            raise invalid("image", "is missing, and no SESSION_IMAGE is set")
        if not image_allowed(image, images):
            raise PermissionDenied("this image is not allowed", reason=Reason.IMAGE_NOT_ALLOWED, image=image)
        ttl = self.ttl_seconds or sessions.ttl_seconds
        if ttl > sessions.max_ttl_seconds:
            raise invalid("ttl_seconds", f"is larger than {sessions.max_ttl_seconds}")
        return NewSession(
            name=self.name,
            image=image,
            resources=self._resources(sessions),
            labels=self.labels,
            env=self.env,
            ttl_seconds=ttl,
            idle_seconds=min(self.idle_seconds or sessions.idle_seconds, ttl),
            wait_seconds=self.wait_seconds,
            credentials=self._credentials(),
        )

    def __repr__(self) -> str:
        """Without the values, which may be secret."""
        return "CreateSessionBody(...)"

    def _credentials(self) -> tuple[str, ...] | None:
        if self.credentials is UNSET:
            return None
        if len(set(self.credentials)) < len(self.credentials):
            raise invalid("credentials", "names a file twice")
        return tuple(sorted(self.credentials))

    def _resources(self, sessions: SessionSettings) -> Resources:
        cpu = self.resources.cpu or sessions.cpu
        memory = self.resources.memory or sessions.memory
        for field, value, least, most in (
            ("cpu", cpu, "1m", sessions.max_cpu),
            ("memory", memory, "16Mi", sessions.max_memory),
        ):
            if not quantity(least) <= quantity(value) <= quantity(most):
                raise invalid(f"resources.{field}", f"is not between {least} and {most}")
        return Resources(cpu, memory)


class ChangeSessionBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Body of ``PATCH /v1/sessions/{session_id}``; a field that is not in it stays as it is."""

    name: Name | UnsetType = UNSET
    labels: LabelMap | UnsetType = UNSET
    ttl_seconds: Seconds | UnsetType = UNSET
    idle_seconds: Seconds | UnsetType = UNSET

    def to_changes(self, sessions: SessionSettings) -> Changes:
        """Checks what the shape alone does not say.

        Raises:
            InvalidRequest: A value breaks a rule, or the body has no field.
        """
        given = {
            name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not UNSET
        }
        if not given:
            raise InvalidRequest("there is nothing to change", reason=Reason.MISSING_FIELD)
        refuse("labels", names.label_fault(given.get("labels", {})), Reason.INVALID_LABEL)
        if given.get("ttl_seconds", 0) > sessions.max_ttl_seconds:
            raise invalid("ttl_seconds", f"is more than {sessions.max_ttl_seconds}")
        return Changes(**given)


def decode(body: bytes, shape: type[_Body]) -> _Body:
    """Reads a JSON body.

    Args:
        body: The body's bytes.
        shape: One of the classes above.

    Raises:
        InvalidRequest: ``INVALID_JSON``, ``UNKNOWN_FIELD``, ``MISSING_FIELD``, ``WRONG_TYPE``,
            ``FIELD_TOO_LONG``, ``INVALID_LABEL`` or ``INVALID_FIELD``; the error says where.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise _shape_fault(str(error)) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidRequest(
            f"the body is not JSON: {error}"[:_MAX_SHOWN], reason=Reason.INVALID_JSON
        ) from error


def checked(fields: Mapping[str, object], shape: type[_Body]) -> _Body:
    """Checks fields that did not come as JSON, by the same rules.

    Args:
        fields: Each field's value.
        shape: One of the classes above.

    Raises:
        InvalidRequest: As ``decode``.
    """
    try:
        return msgspec.convert(fields, shape)
    except msgspec.ValidationError as error:
        raise _shape_fault(str(error)) from error


def image_allowed(image: str, images: ImageSettings) -> bool:
    """Whether a session may use the image: the operator's own, and those of ``ALLOWED_IMAGES``.

    If ``ALLOWED_IMAGES`` is not set, any image is allowed on a laptop, and in production only the
    operator's own.
    """
    return image == images.default or images.any_allowed or is_listed(image, images.allowed)


def _shape_fault(text: str) -> InvalidRequest:
    """The error for a message of msgspec, cut, with the field it names: ``... - at `$.resources.cpu```."""
    place = _PLACE.search(text)
    field = place["path"] if place else ""
    unknown = _UNKNOWN.match(text)
    if unknown:
        field = f"{field}.{unknown['name']}" if field else unknown["name"]
    fault = InvalidRequest(text[:_MAX_SHOWN], reason=_shape_reason(text, field))
    if field:
        fault.fields["field"] = field[:_MAX_SHOWN]
    return fault


def _shape_reason(text: str, field: str) -> Reason:
    """The reason that a message of msgspec stands for."""
    if _UNKNOWN.match(text):
        return Reason.UNKNOWN_FIELD
    if _WRONG_TYPE.match(text):
        return Reason.WRONG_TYPE
    if field.partition("[")[0] == "labels":
        return Reason.INVALID_LABEL
    if "missing required field" in text:
        return Reason.MISSING_FIELD
    return Reason.FIELD_TOO_LONG if " of length <= " in text else Reason.INVALID_FIELD


def invalid(field: str, fault: str) -> InvalidRequest:
    """The refusal of a field's value."""
    return InvalidRequest(f"{field} {fault}", reason=Reason.INVALID_FIELD, field=field)


def refuse(field: str, fault: str | None, reason: Reason = Reason.INVALID_FIELD) -> None:
    """Refuses a field's value if there is a fault.

    Raises:
        InvalidRequest: There is a fault.
    """
    if fault is not None:
        raise InvalidRequest(fault, reason=reason, field=field)
