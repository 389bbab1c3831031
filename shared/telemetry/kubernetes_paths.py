"""Paths of the Kubernetes API without the names in them."""

from __future__ import annotations

_GROUPS = {"api": 2, "apis": 3}
"""Segments before the resource: ``api/v1`` and ``apis/group/version``."""


def path_template(path: str) -> str:
    """A path with placeholders for namespace and name, which are many.

    Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris.

    Args:
        path: Such as ``/api/v1/namespaces/gamgui/pods/x/exec``.

    Returns:
        Such as ``/api/v1/namespaces/{namespace}/pods/{name}/exec``.
    """
    segments = path.strip("/").split("/")
    prefix = _GROUPS.get(segments[0])
    if prefix is None:
        return path
    if segments[prefix : prefix + 1] == ["namespaces"] and len(segments) > prefix + 2:
        segments[prefix + 1] = "{namespace}"
        prefix += 2
    if len(segments) > prefix + 1:
        segments[prefix + 1] = "{name}"
    return "/" + "/".join(segments)
