"""Names of spans hold no names of things."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.telemetry.kubernetes_paths import path_template


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/api/v1/namespaces/gamgui/pods", "/api/v1/namespaces/{namespace}/pods"),
        ("/api/v1/namespaces/gamgui/pods/x", "/api/v1/namespaces/{namespace}/pods/{name}"),
        ("/api/v1/namespaces/gamgui/pods/x/exec", "/api/v1/namespaces/{namespace}/pods/{name}/exec"),
        ("/api/v1/namespaces", "/api/v1/namespaces"),
        ("/api/v1/namespaces/gamgui", "/api/v1/namespaces/{name}"),
        ("/apis/batch/v1/namespaces/a/jobs/x", "/apis/batch/v1/namespaces/{namespace}/jobs/{name}"),
        ("/api/v1/nodes/x/status", "/api/v1/nodes/{name}/status"),
        ("/version", "/version"),
        ("/", "/"),
    ],
)
def test_a_path_has_placeholders(path: str, template: str) -> None:
    assert path_template(path) == template


_NAME = st.from_regex(r"[0-9][a-z0-9]{8}", fullmatch=True)


@given(namespace=_NAME, name=_NAME, rest=st.sampled_from(["", "/exec", "/log"]))
def test_no_name_is_left(namespace: str, name: str, rest: str) -> None:
    template = path_template(f"/api/v1/namespaces/{namespace}/pods/{name}{rest}")
    assert namespace not in template
    assert name not in template
