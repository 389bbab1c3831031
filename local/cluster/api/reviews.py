"""Answers reviews: questions about the rights of a user, which are not stored."""

from ..clock import timestamp
from ..objects import Object
from ..objects.resources import SELF_SUBJECT_REVIEWS, SELF_SUBJECT_RULES_REVIEWS, Resource
from ..objects.shapes import check_shape, without_nulls
from .access import Attributes, Authorizer, User


def review(authorizer: Authorizer, user: User, resource: Resource, body: Object) -> Object:
    """Answer a review.

    Args:
        user: The caller, whose rights are in question.
        resource: The kind of review.
        body: The question.

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
        rules = authorizer.rules(user, spec.get("namespace", ""))
        status: Object = {"resourceRules": rules, "nonResourceRules": [], "incomplete": False}
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
