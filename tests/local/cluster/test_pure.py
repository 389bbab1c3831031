"""Parsers and other pure parts, by example and by property."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.cluster.objects.patches import json_patch, merge_patch, strategic_merge_patch
from local.cluster.objects.podsecurity import restricted_violations
from local.cluster.objects.protobuf import UnsupportedKindError, decode_protobuf
from local.cluster.objects.quantities import format_quantity, parse_quantity
from local.cluster.objects.selectors import matcher
from local.cluster.objects.tables import human_duration
from local.cluster.runtime.paths import PathView
from local.cluster.runtime.rewriting import Rewriter

from .client import session_manifest

_JSON = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)
_OBJECTS = st.dictionaries(st.text(max_size=3), _JSON, max_size=4)
_LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "x", "y"]))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", "0.5"),
        ("2", "2"),
        ("1.5", "1.5"),
        ("128Mi", "134217728"),
        ("1k", "1000"),
        ("1e3", "1000"),
        ("0", "0"),
    ],
)
def test_quantities(text: str, value: str) -> None:
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "x", "1 Gi", "1gi", "--1", "1e", "NaN", "Infinity", None, True, [], {}])
def test_what_is_no_quantity(text: object) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        parse_quantity(text)


@given(st.integers(0, 10**9), st.sampled_from(["1", "1m", "1Mi"]))
def test_formatting_a_quantity_keeps_its_value(value: int, like: str) -> None:
    assert parse_quantity(format_quantity(Decimal(value), like)) == value


@given(_OBJECTS, _OBJECTS)
def test_a_merge_patch_with_the_whole_object_sets_it(target: dict[str, Any], patch: dict[str, Any]) -> None:
    patched = merge_patch(target, patch)
    assert merge_patch(patched, patch) == patched
    assert {key: patched[key] for key in patch if not isinstance(patch[key], dict)} == {
        key: value for key, value in patch.items() if not isinstance(value, dict)
    }


def test_merge_patch_follows_the_rfc() -> None:
    target = {"a": {"b": 1, "c": 2}, "d": [1, 2]}
    assert merge_patch(target, {"a": {"b": None}, "d": [3], "e": {"f": None}}) == {
        "a": {"c": 2},
        "d": [3],
        "e": {},
    }


def test_strategic_merge_goes_by_the_keys_of_lists() -> None:
    target = {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}], "args": [1]}
    patch = {
        "$setElementOrder/containers": [{"name": "c"}, {"name": "a"}],
        "containers": [{"name": "a", "image": "2"}, {"name": "b", "$patch": "delete"}, {"name": "c"}],
        "args": [2],
    }
    patched = strategic_merge_patch(target, patch)
    assert patched == {"containers": [{"name": "a", "image": "2"}, {"name": "c"}], "args": [2]}


@given(_OBJECTS, st.text(max_size=3), _JSON)
def test_json_patch_add_then_remove_is_nothing(target: dict[str, Any], key: str, value: Any) -> None:
    path = "/" + key.replace("~", "~0").replace("/", "~1")
    added = json_patch(target, [{"op": "add", "path": path, "value": value}])
    assert added[key] == value
    without = {name: item for name, item in target.items() if name != key}
    assert json_patch(added, [{"op": "remove", "path": path}]) == without


@given(_LABELS)
def test_a_selector_and_its_negation_split_everything(labels: dict[str, str]) -> None:
    pod = {"metadata": {"name": "p", "labels": labels}}
    for selector, negation in (("a=x", "a!=x"), ("a in (x,y)", "a notin (x,y)"), ("a", "!a")):
        assert matcher(selector, "", "Pod")(pod) != matcher(negation, "", "Pod")(pod)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (185, "3m5s"),
        (3600, "60m"),
        (4 * 3600 + 60, "4h1m"),
        (86400, "24h"),
        (3 * 86400 + 3600, "3d1h"),
        (100 * 86400, "100d"),
        (800 * 86400, "2y"),
    ],
)
def test_ages_read_as_kubectls(seconds: int, shown: str) -> None:
    assert human_duration(seconds) == shown


def test_the_products_pod_violates_nothing() -> None:
    assert restricted_violations(session_manifest("s", "true")["spec"]) == []


def test_violations_of_several_containers_are_listed_together() -> None:
    spec = session_manifest("s", "true")["spec"]
    spec["containers"] = [{"name": name, "image": "i"} for name in ("a", "b")]
    spec["hostNetwork"] = True
    found = restricted_violations(spec)
    assert found[0] == "host namespaces (hostNetwork=true)"
    assert found[1].endswith('(containers "a", "b" must set securityContext.allowPrivilegeEscalation=false)')


@given(st.binary(max_size=64))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    for body in (data, b"k8s\0" + data, b"k8s\0\x0a\x0b\x12\x09Namespace\x12" + bytes([len(data)]) + data):
        try:
            json.dumps(decode_protobuf(body))
        except (ValueError, UnsupportedKindError):
            continue


_REWRITE = Rewriter(
    {"/workspace": Path("/pods/1/work"), "/home/gam": Path("/pods/1/home"), "/w": Path("/pods/1/w")}
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/workspace", "/pods/1/work"),
        ("cd /workspace && ls /home/gam/.gam", "cd /pods/1/work && ls /pods/1/home/.gam"),
        ("PATH=/home/gam/bin:/workspace/bin", "PATH=/pods/1/home/bin:/pods/1/work/bin"),
        ("--file=/workspace/a.csv", "--file=/pods/1/work/a.csv"),
        (
            "/workspaces /data/workspace x/workspace /workspace-2",
            "/workspaces /data/workspace x/workspace /workspace-2",
        ),
        ("/home/gamma '/w'", "/home/gamma '/pods/1/w'"),
    ],
)
def test_only_whole_mounted_paths_are_rewritten(text: str, expected: str) -> None:
    assert _REWRITE(text) == expected


@given(st.text(alphabet="abc/.- ", max_size=20))
def test_text_without_mounted_paths_stays(text: str) -> None:
    assert _REWRITE(text) == text


def test_links_are_followed_as_they_look_inside(tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "bin").mkdir(parents=True)
    (work / "bin" / "tool").write_text("#!/bin/sh\n")
    (work / "bin" / "tool").chmod(0o755)
    (work / "link").symlink_to("/workspace/bin/tool")
    (work / "loop").symlink_to("loop")
    view = PathView({"/workspace": work})
    assert view.resolve("/workspace/link") == str(work / "bin" / "tool")
    assert view.find_executable("tool", {"PATH": "/none:/workspace/bin"}, "/") == "/workspace/bin/tool"
    assert view.find_executable("./link", {}, "/workspace") == "/workspace/./link"
    for name in ("/workspace/loop", "/workspace/none"):
        with pytest.raises(FileNotFoundError, match="no such file or directory"):
            view.find_executable(name, {}, "/")
    with pytest.raises(PermissionError, match="is a directory"):
        view.find_executable("/workspace/bin", {}, "/")
