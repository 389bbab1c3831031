from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidRequest, RangeNotSatisfiable
from shared.web.http.ranges import (
    ContentRange,
    byte_range,
    content_range,
    digest_header,
    names_tag,
    sha256_of,
)

sizes = st.integers(0, 2**62)
small = st.integers(0, 30)


@given(small, small, small)
def test_a_range_is_the_bytes_that_a_slice_has(first: int, last: int, size: int) -> None:
    whole = bytes(range(size))
    header = f"bytes={first}-{last}"
    if last < first:
        assert byte_range(header, size) is None
    elif first >= size:
        with pytest.raises(RangeNotSatisfiable) as refused:
            byte_range(header, size)
        assert refused.value.fields["content_range"] == f"bytes */{size}"
    else:
        begin, length = byte_range(header, size) or (-1, -1)
        assert whole[begin : begin + length] == whole[first : last + 1]


@given(small, st.integers(1, 30))
def test_a_range_from_the_end_and_one_to_the_end(asked: int, size: int) -> None:
    whole = bytes(range(size))
    at_the_end = whole[-asked:] if asked else b""
    for header, expected in ((f"bytes=-{asked}", at_the_end), (f"bytes={asked}-", whole[asked:])):
        if not expected:
            with pytest.raises(RangeNotSatisfiable):
                byte_range(header, size)
        else:
            begin, length = byte_range(header, size) or (-1, -1)
            assert whole[begin : begin + length] == expected


@given(st.text(max_size=30), sizes)
def test_whatever_is_no_single_range_is_ignored(header: str, size: int) -> None:
    try:
        found = byte_range(header, size)
    except RangeNotSatisfiable:
        return
    if found is not None:
        begin, length = found
        assert 0 <= begin < begin + length <= size


@pytest.mark.parametrize(
    "header", ["", "bytes=", "bytes=-", "bytes=a-b", "bytes=0-1,3-4", "items=0-1", "bytes=²-3", "bytes=0-1\n"]
)
def test_what_is_ignored(header: str) -> None:
    assert byte_range(header, 10) is None


@given(sizes, sizes, sizes)
def test_a_content_range_names_bytes_that_can_be_or_is_refused(first: int, last: int, total: int) -> None:
    header = f"bytes {first}-{last}/{total}"
    fits = first <= last < total and max(len(str(n)) for n in (first, last, total)) <= 18
    if fits:
        assert content_range(header) == ContentRange(first, last - first + 1, total)
    else:
        with pytest.raises(InvalidRequest):
            content_range(header)


@pytest.mark.parametrize(
    "header",
    ["", "bytes", "bytes 0-1", "bytes 0-1/*", "0-1/2", "bytes -1/2", "bytes 0-1/2\n", "bytes ²-3/4"],
)
def test_what_is_no_content_range_is_refused(header: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        content_range(header)
    assert refused.value.fields["field"] == "Content-Range"


def test_a_question_has_no_bytes() -> None:
    assert content_range("bytes */7") == ContentRange(None, None, 7)


@given(st.binary())
def test_a_digest_is_read_as_it_is_written(data: bytes) -> None:
    digest = hashlib.sha256(data).hexdigest()
    assert sha256_of(digest_header(digest), "Content-Digest") == digest
    assert sha256_of(f"md5=:AAAA:, {digest_header(digest)} ,sha-512=:BBBB:", "Content-Digest") == digest


@pytest.mark.parametrize("header", ["", "  ", "md5=:AAAA:", "sha-512=::"])
def test_digests_that_we_do_not_know_are_passed_over(header: str) -> None:
    assert sha256_of(header, "Content-Digest") == ""


@pytest.mark.parametrize(
    "header",
    [
        *("sha-256", "sha-256=abc", "sha-256=:abc", ",", "sha-256=:A:", "sha-256=::", "SHA-256=:AAAA:"),
        f"sha-256=:{base64.b64encode(b'x' * 31).decode()}:",
        f"sha-256=:{base64.b64encode(b'x' * 33).decode()}:",
    ],
)
def test_a_digest_that_cannot_be_read_is_refused(header: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        sha256_of(header, "Repr-Digest")
    assert refused.value.fields["field"] == "Repr-Digest"


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ('"a"', True),
        ('W/"a"', True),
        ('"b", "a"', True),
        ('"b","a"', True),
        ("*", True),
        (" * ", True),
        ('"b"', False),
        ("", False),
        ("a", False),
        ('"ab"', False),
    ],
)
def test_which_tags_are_named(header: str, named: bool) -> None:
    assert names_tag(header, '"a"') is named
