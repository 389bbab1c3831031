"""The demultiplexer: whatever the command says and however it is cut, nothing is lost, added or moved."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from shared.core.commands import Output, Started
from shared.kube.exec import supervisor
from shared.kube.exec.transcript import Transcript

TAG = "gamgui-0123456789abcdef"
END = supervisor.end_of_input(TAG)
LINE = f"{TAG} 10 11\n".encode()
# Output that looks like the supervisor's lines, or like their beginnings.
pieces = st.binary(max_size=12) | st.sampled_from([TAG.encode(), END[:-1], END[:5], b"gamgui-", b"\n"])
outputs = st.lists(pieces, max_size=8).map(b"".join).filter(lambda data: END not in data)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces, cut at those places."""
    at = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(at)]


@given(
    stdout=outputs,
    stderr=outputs,
    places=st.lists(st.integers(0, 10_000), max_size=12),
    has_input=st.booleans(),
)
def test_every_byte_comes_out_once_and_in_its_place(
    stdout: bytes, stderr: bytes, places: list[int], has_input: bool
) -> None:
    transcript = Transcript(TAG, has_input=has_input)
    said = LINE + stderr + (END if has_input else b"")
    messages = [(1, piece) for piece in cut(stdout, places)]  # stdout may overtake the first line
    messages += [(2, piece) for piece in cut(said, places)]
    events = [event for channel, piece in messages for event in transcript.feed(channel, piece)]
    events += transcript.end()
    assert events[0] == Started(11)
    for stream, expected in (("stdout", stdout), ("stderr", stderr)):
        found = [event for event in events if isinstance(event, Output) and event.stream == stream]
        assert b"".join(event.data for event in found) == expected
        assert [event.offset for event in found] == [
            sum(len(before.data) for before in found[:number]) for number in range(len(found))
        ]
        assert all(event.data for event in found)
    assert transcript.input_over.is_set() is has_input


@given(data=st.binary(max_size=2000), channel=st.integers(-1, 255))
def test_anything_may_come_before_the_first_line(data: bytes, channel: int) -> None:
    transcript = Transcript(TAG, has_input=True)
    assert transcript.feed(channel, data) == []
    assert transcript.announced is None


def test_a_failure_to_start_says_nothing_but_why() -> None:
    transcript = Transcript(TAG, has_input=False)
    assert transcript.feed(2, f"{TAG} ! x: not found\n".encode()) == []
    assert transcript.announced == supervisor.Announcement(None, None, "x: not found")
