"""A folder's tar on its way: entries pass as they are, and a list of what is missing becomes the last one."""

from __future__ import annotations

import io
import itertools
import tarfile
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.commands import ExecEvent, ExecResult, Exit, Output
from shared.core.files.packed import LIST_NAME, PackedFolder
from shared.core.files.script_output import Answer
from shared.errors import GamguiError, TransferFailed

WORDS = b"tar: ./a: Cannot open: Permission denied\ntar: Exiting with failure status\ntar ended with 2\n"


def tar_with(files: dict[str, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    """A tar of these files, and of a folder and a link."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as tar:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        link = tarfile.TarInfo("folder/link")
        link.type, link.linkname = tarfile.LNKTYPE, "x" * 90
        for info, content in ((folder, b""), (link, b"")):
            tar.addfile(info, io.BytesIO(content))
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return made.getvalue()


async def events(pieces: list[bytes], end: Exit) -> AsyncGenerator[ExecEvent, None]:
    for piece in pieces:
        yield Output("stdout", 0, piece)
    yield end


async def packed(
    pieces: list[bytes], code: int, result: ExecResult = ExecResult.EXITED
) -> tuple[bool, bytes]:
    """Whether the tar is incomplete, and the tar."""
    folder = PackedFolder()
    answer = Answer(events(pieces, Exit(result=result, exit_code=code)), "folder")
    passed = b"".join([piece async for piece in folder.pieces(answer)])
    return folder.incomplete, passed


def listed(data: bytes) -> tuple[dict[str, bytes], bytes | None]:
    """The files of a tar, and the list at its end; None if there is none."""
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                files[member.name] = content.read()
    names = list(files)
    assert f"./{LIST_NAME}" not in names[:-1]
    return files, files.pop(f"./{LIST_NAME}", None)


contents = st.sampled_from(
    [b"", bytes(511), bytes(512), bytes(1500), b"tar ended with 0\n", WORDS * 9]
) | st.binary(max_size=600)
names = st.text("ab/", min_size=1, max_size=300).map(lambda name: "f" + name.strip("/"))


@given(
    files=st.dictionaries(names, contents, max_size=4),
    form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT]),
    zeros=st.integers(0, 30),
    places=st.lists(st.integers(0, 30_000), max_size=10),
    missing=st.booleans(),
)
async def test_every_tar_passes_and_gets_a_list_if_it_lacks_something(
    files: dict[str, bytes], form: int, zeros: int, places: list[int], missing: bool
) -> None:
    if form == tarfile.USTAR_FORMAT:
        files = {name[:90]: content for name, content in files.items()}
    whole = tar_with(files, form).rstrip(b"\0")
    whole += bytes(-len(whole) % 512 + 1024 + 512 * zeros)
    if files and not list(files.values())[-1].strip(b"\0"):
        whole = tar_with(files, form)  # the zeros at its end are content, too
    said = whole + (WORDS if missing else b"")
    at = sorted({place % len(said) for place in places} | {0, len(said)})
    incomplete, passed = await packed([said[a:b] for a, b in itertools.pairwise(at)], 4 if missing else 0)
    found, words = listed(passed)
    assert found == files
    assert incomplete is missing
    if missing:
        assert words is not None
        assert words.splitlines()[1:] == [
            b"./a: Cannot open: Permission denied",
            b"Exiting with failure status",
            b"tar ended with 2",
        ]
    else:
        assert words is None


@given(
    files=st.lists(st.tuples(names | st.just(f"./{LIST_NAME}"), contents), max_size=4),
    width=st.integers(1, 1300),
)
async def test_a_file_with_the_lists_name_is_left_out(files: list[tuple[str, bytes]], width: int) -> None:
    """A session could say with it that something is missing, or that nothing is."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    whole = made.getvalue()
    _, passed = await packed([whole[at : at + width] for at in range(0, len(whole), width)], 0)
    found, words = listed(passed)
    assert found == {name: content for name, content in files if name != f"./{LIST_NAME}"}
    assert words is None


@given(pieces=st.lists(st.binary(max_size=700), max_size=6))
async def test_what_is_no_tar_passes_as_it_is(pieces: list[bytes]) -> None:
    said = b"x" + b"".join(pieces)
    assert await packed([b"x", *pieces], 0) == (False, said)


@pytest.mark.parametrize("code", [1, 2, 3, 4, 137])
async def test_a_tar_that_broke_off_is_a_failure_however_its_script_ended(code: int) -> None:
    whole = tar_with({"file": b"x" * 5000})
    for length in (0, 100, 512, 4000):
        with pytest.raises(GamguiError):
            await packed([whole[:length] + b"tar ended with 2\n"], code)
    with pytest.raises(GamguiError):
        await packed([whole], code, ExecResult.SIGNALED)


async def test_a_list_is_bounded() -> None:
    with pytest.raises(TransferFailed):
        await packed([tar_with({}), *[b"x" * 60_000] * 3], 4)
    _, passed = await packed([tar_with({}), b"tar: x\n" * 5000], 4)
    assert (listed(passed)[1] or b"").endswith(b"x\n... and more\n")
