"""Answers reviews: questions about the rights of a user, which are not stored."""

from ..clock import timestamp
from ..objects import Object
from ..objects.errors import bad_request
from ..objects.resources import SELF_SUBJECT_REVIEWS, SELF_SUBJECT_RULES_REVIEWS, Resource
from ..objects.shapes import check_shape, without_nulls
from .access import Attributes, Authorizer, User

# k8s.io/apiserver, plugin/pkg/authorizer/webhook
_UNKNOWN_RULES = "webhook authorizer does not support user rule resolution"


def review(
    authorizer: Authorizer, user: User, resource: Resource, body: Object, *, incomplete: bool
) -> Object:
    """Answer a review.

    Args:
        authorizer: Knows the rights.
        user: The caller, whose rights are in question.
        resource: The kind of review.
        body: The question.
        incomplete: Whether to say of rules that there may be more, as a cluster does that also asks others
            than its roles.

    Raises:
        ApiError: 400 when the body is no question of this kind.
    """
    body = without_nulls(body)
    check_shape(resource, body)
    head: Object = {"kind": resource.kind, "apiVersion": resource.api_version}
    if resource is SELF_SUBJECT_REVIEWS:
        return {**head, "metadata": {"creationTimestamp": timestamp()}, "status": {"userInfo": user.info}}
    spec = body.get("spec") or {}
    if resource is SELF_SUBJECT_RULES_REVIEWS:
        if not spec.get("namespace"):
            raise bad_request("no namespace on request")
        held = authorizer.held(user, spec["namespace"])
        status: Object = {
            "resourceRules": [rule for rule in held if "resources" in rule],
            "nonResourceRules": [rule for rule in held if "nonResourceURLs" in rule],
            "incomplete": incomplete,
            **({"evaluationError": _UNKNOWN_RULES} if incomplete else {}),
        }
        return {**head, "metadata": {}, "spec": {}, "status": status}
    asked = {key: value for key, value in (spec.get("resourceAttributes") or {}).items() if value}
    attributes = Attributes(
        verb=asked.get("verb", ""),
        group=asked.get("group", ""),
        resource=asked.get("resource", ""),
        subresource=asked.get("subresource", ""),
        namespace=asked.get("namespace", ""),
        name=asked.get("name", ""),
    )
    decision = authorizer.decide(user, attributes)
    status = {"allowed": decision.allowed, **({"reason": decision.reason} if decision.reason else {})}
    shown = {"resourceAttributes": asked} if asked else spec
    return {**head, "metadata": {}, "spec": shown, "status": status}
