"""A body that is not what was announced: its caller is told why, and no pod can take it for whole."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.commands import Command, ExecEvent, ExecResult, Exit, Output, Started
from shared.core.files.paths import WorkspacePath
from shared.core.files.unpack import NO_PLAN
from shared.core.files.upload import NO_HASH, Body, Stored, Upload
from shared.core.sessions.model import Session
from shared.errors import GamguiError
from shared.reasons import Reason
from tests.shared.core.files.test_service import world
from tests.shared.store.samples import SetClock
from tests.support.people import ALICE
from tests.support.scripted_runtime import ScriptedRuntime
from tests.support.stores import SqliteStore
from tests.support.tars import tar_of

FILE, FOLDER = WorkspacePath(("file",), folder=False), WorkspacePath(("folder",), folder=True)
MAX_BYTES = 200_000
LONG = bytes(70_000)
"""Is sent while it comes; what is shorter is read before."""

Source = Callable[[], AsyncIterator[bytes]]


def of(*pieces: bytes, error: Exception | None = None) -> Source:
    async def source() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
        if error is not None:
            raise error

    return source


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclasses.dataclass(slots=True, kw_only=True)
class ReadingPod(ScriptedRuntime):
    """A pod whose scripts read all of their input, then answer.

    Attributes:
        says: The answer to an input.
        read: What the last script has read.
    """

    says: Callable[[bytes], bytes]
    read: bytes = b""

    async def execute(self, session: Session, command: Command) -> AsyncGenerator[ExecEvent, None]:
        assert command.stdin is not None
        self.read = b"".join([piece async for piece in command.stdin])
        yield Started(1)
        yield Output("stdout", 0, self.says(self.read))
        yield Exit(result=ExecResult.EXITED, exit_code=0)


def broken(_: bytes) -> bytes:
    """What the scripts say of input without its end."""
    return b"!broken\n"


def believing(read: bytes) -> bytes:
    """A pod that takes whatever has come for all of it."""
    data = read.removesuffix(NO_HASH)
    return f"stored {len(data)} {sha256(data)} created\n".encode()


def unpacking(_: bytes) -> bytes:
    return f"unpacked created {sha256(b'')}\n".encode()


TAR = tar_of({"a": LONG, "b/c": b"x"})
FAULTS = {
    "too many bytes": (of(LONG, LONG, LONG), None, set(), "FILE_TOO_LARGE"),
    "too few": (of(LONG), len(LONG) + 1, set(), "INVALID_FIELD"),
    "more than announced": (of(LONG, b"x"), len(LONG), set(), "INVALID_FIELD"),
    "another digest": (of(LONG), None, {"0" * 64}, "DIGEST_MISMATCH"),
    "one of two digests is another": (of(LONG), None, {sha256(LONG), "0" * 64}, "DIGEST_MISMATCH"),
    "it breaks off": (of(LONG, error=GamguiError("gone", reason=Reason.POD_GONE)), None, set(), "POD_GONE"),
    "it breaks off at once": (of(error=GamguiError("gone", reason=Reason.POD_GONE)), None, set(), "POD_GONE"),
}
TAR_FAULTS = {
    "no tar": (of(b"x" * 512), None, set(), "TAR_INVALID"),
    "half a tar": (of(TAR[:30_000]), None, set(), "TAR_INVALID"),
    "too large": (of(tar_of({"a": LONG * 3})), None, set(), "FILE_TOO_LARGE"),
    "another digest": (of(TAR), None, {"0" * 64}, "DIGEST_MISMATCH"),
    "it breaks off": (of(TAR, error=GamguiError("gone", reason=Reason.POD_GONE)), None, set(), "POD_GONE"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("says", [broken, believing])
async def test_a_file_with_a_fault_is_refused_for_it_and_no_pod_gets_its_end(
    fault: str, says: Callable[[bytes], bytes], sqlite: SqliteStore, clock: SetClock
) -> None:
    source, length, digests, reason = FAULTS[fault]
    pod = ReadingPod(says=says)
    files = await world(sqlite, clock, pod, MAX_BYTES)
    body = Body(source=source(), length=length, digests=digests)
    with pytest.raises(GamguiError) as raised:
        await files.files.put(ALICE, files.session_id, FILE, body)
    assert raised.value.reason == reason
    assert files.audit.outcomes == [("session.file.put", reason)]
    assert pod.read.endswith(NO_HASH)


@pytest.mark.parametrize("fault", TAR_FAULTS)
@pytest.mark.parametrize("says", [broken, unpacking])
async def test_a_tar_with_a_fault_is_refused_for_it_and_no_pod_gets_a_plan(
    fault: str, says: Callable[[bytes], bytes], sqlite: SqliteStore, clock: SetClock
) -> None:
    source, length, digests, reason = TAR_FAULTS[fault]
    pod = ReadingPod(says=says)
    files = await world(sqlite, clock, pod, MAX_BYTES)
    body = Body(source=source(), length=length, digests=digests)
    with pytest.raises(GamguiError) as raised:
        await files.files.unpack(ALICE, files.session_id, FOLDER, body)
    assert raised.value.reason == reason
    assert files.audit.outcomes == [("session.file.unpack", reason)]
    assert pod.read.endswith(NO_PLAN) and b"\nplan " not in pod.read


async def test_a_fault_that_is_none_of_ours_is_raised_as_it_is(sqlite: SqliteStore, clock: SetClock) -> None:
    files = await world(sqlite, clock, ReadingPod(says=broken), MAX_BYTES)
    with pytest.raises(ZeroDivisionError):
        await files.files.put(
            ALICE, files.session_id, FILE, Body(source=of(b"x", error=ZeroDivisionError())())
        )


@given(
    st.lists(st.binary(max_size=40), max_size=6),
    st.none() | st.integers(0, 200),
    st.booleans(),
    st.integers(0, 200),
)
async def test_what_is_sealed_is_all_of_what_was_announced_and_only_that_is_accepted(
    pieces: list[bytes], length: int | None, right: bool, most: int
) -> None:
    data = b"".join(pieces)
    digest = sha256(data) if right else "0" * 64
    upload = Upload(Body(source=of(*pieces)(), length=length, digests={"", digest}), most)
    told, sent, refused = ["", ""], b"", False
    try:
        told = await upload.begin()
        sent = b"".join([piece async for piece in upload.sealed()])
    except GamguiError:
        refused = True
    whole = right and len(data) <= most and length in (None, len(data))
    assert refused is not whole
    if whole:
        assert sent == (data if told[1] else data + sha256(data).encode())
    for stored in (Stored(len(data), sha256(data), True), Stored(len(data) + 1, sha256(data), True)):
        assert upload.accepts(stored) is (whole and stored.size == len(data))
