"""What a script's answer means, however its bytes are cut and however it ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import pytest

from shared.core.commands import ExecEvent, ExecResult, Exit, Heartbeat, Output, Started
from shared.core.files.script_output import Answer
from shared.errors import GamguiError
from shared.reasons import Reason

DONE = Exit(result=ExecResult.EXITED, exit_code=0)
FAILED = Exit(result=ExecResult.EXITED, exit_code=1)
LOST = Exit(result=ExecResult.POD_LOST, reason="Evicted: disk")


def answer(*output: bytes, end: Exit | None = DONE) -> Answer:
    async def events() -> AsyncGenerator[ExecEvent, None]:
        yield Started(1)
        for data in output:
            yield Heartbeat()
            yield Output("stderr", 0, b"not of interest")
            yield Output("stdout", 0, data)
        if end is not None:
            yield end

    return Answer(events(), "some/path")


async def whole(read: Answer) -> bytes:
    return b"".join([piece async for piece in read.chunks()])


@pytest.mark.parametrize("cut", range(1, 20))
async def test_lines_and_bytes_are_told_apart_wherever_they_are_cut(cut: int) -> None:
    text = b"have 12\nabc\nrest\nof \xff it\n"
    read = answer(*(text[at : at + cut] for at in range(0, len(text), cut)))
    assert await read.line() == ["have", "12"]
    assert await read.line() == ["abc"]
    assert await whole(read) == b"rest\nof \xff it\n"


REFUSALS: Sequence[tuple[bytes, int, str]] = [
    (b"!missing", 404, "FILE_NOT_FOUND"),
    (b"!folder", 409, "NOT_A_FILE"),
    (b"!not-a-file", 409, "NOT_A_FILE"),
    (b"!in-the-way a folder", 409, "NOT_A_FILE"),
    (b"!not-a-folder", 409, "NOT_A_FOLDER"),
    (b"!not-empty", 409, "FOLDER_NOT_EMPTY"),
    (b"!outside", 403, "PATH_OUTSIDE_WORKSPACE"),
    (b"!denied", 403, "FILE_ACCESS_DENIED"),
    (b"!full", 507, "DISK_FULL"),
    (b"!wrong-digest", 400, "DIGEST_MISMATCH"),
    (b"!broken", 503, "TRANSFER_FAILED"),
    (b"!missing-tool stat", 409, "IMAGE_UNSUITABLE"),
    (b"!what is this", 503, "TRANSFER_FAILED"),
]


@pytest.mark.parametrize(("line", "status", "reason"), REFUSALS)
async def test_a_scripts_word_is_an_error_of_its_own(line: bytes, status: int, reason: str) -> None:
    with pytest.raises(GamguiError) as raised:
        await answer(line + b"\n", end=FAILED).line()
    assert (raised.value.status, raised.value.reason) == (status, reason)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (DONE, "TRANSFER_FAILED"),
        (FAILED, "TRANSFER_FAILED"),
        (LOST, "POD_NOT_RUNNING"),
        (Exit(result=ExecResult.TIMED_OUT, exit_code=143), "TRANSFER_FAILED"),
        (Exit(result=ExecResult.UNKNOWN), "TRANSFER_FAILED"),
        (Exit(result=ExecResult.START_FAILED, reason="no sh"), "TRANSFER_FAILED"),
        (None, "TRANSFER_FAILED"),
    ],
)
async def test_a_script_that_says_nothing_did_not_succeed(end: Exit | None, reason: str) -> None:
    with pytest.raises(GamguiError) as raised:
        await answer(b"half a li", end=end).line()
    assert raised.value.reason == reason


@pytest.mark.parametrize("end", [FAILED, LOST, Exit(result=ExecResult.UNKNOWN), None])
async def test_bytes_without_a_good_end_are_no_success(end: Exit | None) -> None:
    with pytest.raises(GamguiError):
        await whole(answer(b"all of it", end=end))


async def test_a_line_without_end_is_not_read_for_ever() -> None:
    with pytest.raises(GamguiError) as raised:
        await answer(*[b"x" * 1000] * 100).line()
    assert raised.value.reason == Reason.TRANSFER_FAILED
