"""Bytes as text: any stream, cut anywhere, comes out whole."""

from __future__ import annotations

import base64

from hypothesis import example, given
from hypothesis import strategies as st

from shared.web.http.encoding import Piece, TextSplitter, as_json, incomplete_at_end


@st.composite
def cut(draw: st.DrawFn, streams: st.SearchStrategy[bytes]) -> list[bytes]:
    """A stream in pieces, some of which may be empty."""
    stream = draw(streams)
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


# Mostly text, with every length of character, and bytes that are none in between.
_mixed = st.lists(
    st.text(st.sampled_from("aé€𝄞\n\0")).map(str.encode)
    | st.binary(max_size=4)
    | st.sampled_from([b"\xe2\x82", b"\xf0\x9d\x84", b"\xed\xa0\x80", b"\xc0\xaf", b"\x80"])
).map(b"".join)


def pieces_of(parts: list[bytes]) -> list[Piece]:
    splitter = TextSplitter()
    pieces = [splitter.feed(part) for part in parts]
    return [piece for piece in [*pieces, splitter.end()] if piece is not None]


def raw(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


@given(cut(_mixed | st.binary()))
@example([b"\xe2", b"\x82", b"\xac"])
@example([b"\xf0\x9d\x84", b"a"])
@example([b"\xff\xe2\x82", b"\xac"])
def test_pieces_put_together_by_their_offsets_are_the_stream(parts: list[bytes]) -> None:
    whole = bytearray()
    for offset, content in pieces_of(parts):
        assert offset == len(whole)
        assert content
        whole += raw(content)
    assert bytes(whole) == b"".join(parts)


@given(cut(st.text().map(str.encode)))
def test_a_stream_that_is_text_comes_as_text_however_it_is_cut(parts: list[bytes]) -> None:
    pieces = pieces_of(parts)
    assert all(isinstance(content, str) for _, content in pieces)
    assert "".join(str(content) for _, content in pieces) == b"".join(parts).decode()


@given(cut(_mixed))
def test_no_character_stands_in_two_pieces(parts: list[bytes]) -> None:
    stream = b"".join(parts)
    boundaries = {offset for offset, _ in pieces_of(parts)}
    position = 0
    for character in stream.decode(errors="surrogateescape"):
        length = len(character.encode(errors="surrogateescape"))
        inside = set(range(position + 1, position + length))
        assert not boundaries & inside, (stream, position)
        position += length


@given(st.binary(max_size=64))
def test_at_most_three_bytes_are_held_back_and_only_until_the_end(data: bytes) -> None:
    splitter = TextSplitter()
    piece = splitter.feed(data)
    shown = b"" if piece is None else raw(piece[1])
    rest = splitter.end()
    held = b"" if rest is None else raw(rest[1])
    assert shown + held == data
    assert len(held) <= 3
    assert splitter.end() is None


def test_what_never_becomes_a_character_comes_as_bytes_at_the_end() -> None:
    assert pieces_of([b"ab\xe2\x82"]) == [(0, "ab"), (2, b"\xe2\x82")]


def test_a_byte_that_is_no_text_does_not_spoil_what_comes_later() -> None:
    assert pieces_of([b"\xff", b"text"]) == [(0, b"\xff"), (1, "text")]


@given(st.text(), st.integers(1, 3))
def test_what_is_incomplete_at_the_end_is_the_beginning_of_a_character(text: str, missing: int) -> None:
    whole = (text + "𝄞").encode()
    assert incomplete_at_end(whole) == 0
    assert incomplete_at_end(whole[:-missing]) == 4 - missing


@given(st.text() | st.binary())
def test_a_pieces_content_can_be_had_back_from_its_json(content: str | bytes) -> None:
    members = as_json(content, "stdout", "stdout_base64")
    if isinstance(content, str):
        assert members == {"stdout": content}
    else:
        assert base64.b64decode(members["stdout_base64"]) == content
