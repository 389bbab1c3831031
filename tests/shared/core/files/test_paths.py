from __future__ import annotations

import posixpath
import urllib.parse

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.core.files.paths import MAX_PATH_BYTES, UPLOAD_PREFIX, WorkspacePath
from shared.errors import InvalidRequest
from shared.reasons import Reason


def is_name(text: str) -> bool:
    """What a file of the workspace may be called, said in another way than the code does."""
    return (
        text not in ("", ".", "..")
        and not set(text) & set("/\0\n")
        and len(text.encode()) <= 255
        and not text.startswith(UPLOAD_PREFIX)
    )


texts = st.text(st.characters(codec="utf-8"), max_size=80)
names = texts.filter(is_name)
encodings = st.sampled_from(["", "/!$&'()*+,;=:@~"])


@given(st.lists(names, max_size=8), encodings, st.booleans())
def test_every_path_comes_back_as_it_was_encoded(parts: list[str], safe: str, folder: bool) -> None:
    raw = "/".join(urllib.parse.quote(part, safe=safe.replace("/", "")) for part in parts)
    raw += "/" if folder and parts else ""
    path = WorkspacePath.from_url(raw.encode())
    assert path.parts == tuple(parts)
    assert path.folder is (folder or not parts)
    assert str(path) == "/".join(parts)


@given(st.binary(max_size=200))
@example(b"%2e%2e/%2e%2e/etc/passwd")
@example(b"..%2f..%2fetc")
@example(b"%252e%252e/x")
@example(b"a%00b")
@example(b"%c0%ae%c0%ae/x")
def test_whatever_is_sent_is_refused_or_stays_in_the_workspace(raw: bytes) -> None:
    try:
        path = WorkspacePath.from_url(raw)
    except InvalidRequest as error:
        assert error.reason == Reason.INVALID_PATH
        return
    assert all(is_name(part) for part in path.parts)
    inside = posixpath.normpath(posixpath.join("/workspace", *path.parts))
    assert inside == "/".join(["/workspace", *path.parts])
    assert len(str(path).encode()) <= MAX_PATH_BYTES


@given(st.lists(texts, min_size=1, max_size=5), st.data())
def test_one_bad_name_spoils_a_path(parts: list[str], data: st.DataObject) -> None:
    bad = data.draw(st.sampled_from([".", "..", "a/b", "a\0b", "a\nb", "x" * 256, UPLOAD_PREFIX + "1"]))
    at = data.draw(st.integers(0, len(parts)))
    raw = "/".join(urllib.parse.quote(part, safe="") for part in [*parts[:at], bad, *parts[at:]])
    with pytest.raises(InvalidRequest):
        WorkspacePath.from_url(raw.encode())


@pytest.mark.parametrize("raw", [b"%", b"%4", b"%zz", b"a%2", b"%u0041", b"\xff", b"%ed%a0%80"])
def test_what_is_not_encoded_utf_8_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        WorkspacePath.from_url(raw)


def test_the_longest_path_and_one_longer() -> None:
    longest = "/".join(["x" * 255] * 15 + ["y" * (MAX_PATH_BYTES - 15 * 256)])
    assert len(longest) == MAX_PATH_BYTES
    assert str(WorkspacePath.from_url(longest.encode())) == longest
    with pytest.raises(InvalidRequest):
        WorkspacePath.from_url(longest.encode() + b"y")


def test_a_name_comes_before_the_way_to_it_and_the_workspace_has_none() -> None:
    assert WorkspacePath.from_url(b"a/b/c").name_first() == ["c", "a", "b"]
    with pytest.raises(InvalidRequest):
        WorkspacePath.from_url(b"").name_first()
