"""Says what keeps a namespace from ending, as the namespace controller does."""

from collections import Counter
from collections.abc import Mapping

from ..clock import timestamp
from ..objects import Object
from ..objects.resources import Resource

_DISCOVERED = ("ResourcesDiscovered", "All resources successfully discovered")
_PARSED = ("ParsedGroupVersions", "All legacy kube types successfully parsed")
_DELETED = ("ContentDeleted", "All content successfully deleted, may be waiting on finalization")
_REMOVED = ("ContentRemoved", "All content successfully removed")
_FINALIZED = ("ContentHasNoFinalizers", "All content-preserving finalizers finished")


def ending_conditions(left: Mapping[Resource, list[Object]], before: list[Object]) -> list[Object]:
    """Return the conditions of a namespace that is being deleted.

    Args:
        left: What is left in the namespace.
        before: The conditions so far, whose times stay where nothing has changed.
    """
    counts = sorted((_dotted(resource), len(items)) for resource, items in left.items())
    finalizers = Counter(
        name for items in left.values() for item in items for name in item["metadata"].get("finalizers") or []
    )
    remaining, finalizing = _REMOVED, _FINALIZED
    if counts:
        listed = ", ".join(f"{name} has {count} resource instances" for name, count in counts)
        remaining = ("SomeResourcesRemain", f"Some resources are remaining: {listed}")
    if finalizers:
        listed = ", ".join(
            f"{name} in {count} resource instances" for name, count in sorted(finalizers.items())
        )
        finalizing = (
            "SomeFinalizersRemain",
            f"Some content in the namespace has finalizers remaining: {listed}",
        )
    return [
        _condition("NamespaceDeletionDiscoveryFailure", False, _DISCOVERED, before),
        _condition("NamespaceDeletionGroupVersionParsingFailure", False, _PARSED, before),
        _condition("NamespaceDeletionContentFailure", False, _DELETED, before),
        _condition("NamespaceContentRemaining", bool(counts), remaining, before),
        _condition("NamespaceFinalizersRemaining", bool(finalizers), finalizing, before),
    ]


def _dotted(resource: Resource) -> str:
    return f"{resource.plural}.{resource.group}"


def _condition(kind: str, holds: bool, why: tuple[str, str], before: list[Object]) -> Object:
    status = "True" if holds else "False"
    known: Object = next((item for item in before if item["type"] == kind), {})
    since = known["lastTransitionTime"] if known.get("status") == status else timestamp()
    reason, message = why
    return {"type": kind, "status": status, "lastTransitionTime": since, "reason": reason, "message": message}
