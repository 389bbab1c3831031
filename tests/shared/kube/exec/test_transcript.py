"""The demultiplexer: whatever the command says and however it is cut, nothing is lost, added or moved."""

from __future__ import annotations

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from shared.core.commands import Output, Started
from shared.kube.exec import supervisor
from shared.kube.exec.end_mark import end_mark
from shared.kube.exec.transcript import Transcript

TAG = "gamgui-0123456789abcdef"
END = end_mark(TAG, 143)
LINE = f"{TAG} 10 11\n".encode()
# Output that looks like the supervisor's lines, or like their beginnings.
MARK = re.compile(END[:-4] + rb"([01][0-9]{2}|2[0-4][0-9]|25[0-5])\n")
pieces = st.binary(max_size=12) | st.sampled_from(
    [TAG.encode(), END[:-1], END[:-4], END[:5], b"999\n", b"25", b"gamgui-", b"\n"]
)
outputs = st.lists(pieces, max_size=8).map(b"".join).filter(lambda data: not MARK.search(data))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces, cut at those places."""
    at = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(at)]


@given(
    stdout=outputs,
    stderr=outputs,
    places=st.lists(st.integers(0, 10_000), max_size=12),
    behind=st.sampled_from([b"", b"what was left behind says", END, END[:9]]),
    ends=st.booleans(),
)
def test_every_byte_comes_out_once_and_in_its_place(
    stdout: bytes, stderr: bytes, places: list[int], behind: bytes, ends: bool
) -> None:
    transcript = Transcript(TAG)
    # A mark that the command has half written itself is no mark: what follows is not the supervisor's.
    mark = END + behind if ends else b""
    messages = [(1, piece) for piece in cut(stdout + mark, places)]  # stdout may overtake the first line
    messages += [(2, piece) for piece in cut(LINE + stderr + mark, places)]
    events = [event for channel, piece in messages for event in transcript.feed(channel, piece)]
    events += transcript.end()
    assert events[0] == Started(11)
    for stream, said in (("stdout", stdout), ("stderr", stderr)):
        expected = said + (behind if ends else b"")
        found = [event for event in events if isinstance(event, Output) and event.stream == stream]
        assert b"".join(event.data for event in found) == expected
        assert [event.offset for event in found] == [
            sum(len(before.data) for before in found[:number]) for number in range(len(found))
        ]
        assert all(event.data for event in found)
    assert transcript.input_over.is_set() is transcript.complete is ends
    assert transcript.code == (143 if ends else None)


@given(data=st.binary(max_size=2000), channel=st.integers(-1, 255))
def test_anything_may_come_before_the_first_line(data: bytes, channel: int) -> None:
    transcript = Transcript(TAG)
    assert transcript.feed(channel, data) == []
    assert transcript.announced is None


def test_a_failure_to_start_says_nothing_but_why() -> None:
    transcript = Transcript(TAG)
    assert transcript.feed(2, f"{TAG} ! x: not found\n".encode()) == []
    assert transcript.announced == supervisor.Announcement(None, None, "x: not found")
