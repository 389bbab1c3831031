"""The parser of tars, against Python's own."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.files.paths import UPLOAD_PREFIX
from shared.core.files.tar_reader import (
    MAX_COMMON_HEADERS,
    MAX_ENTRIES,
    MAX_EXTENSIONS_BYTES,
    MAX_MEMBERS,
    MAX_PATHS_BYTES,
    MAX_ZEROS_BYTES,
    Member,
    TarReader,
)
from shared.errors import InvalidRequest, PayloadTooLarge
from shared.reasons import Reason
from tests.shared.core.files.test_paths import names
from tests.support.tars import FORMATS, entry, tar_of, tar_with

Read = dict[str, bytes | None]
BLOCK = 512


def read(data: bytes, piece: int = 10240, max_path_bytes: int = 4000) -> Read:
    """Content by path as we read it; None for a folder."""
    reader, found = TarReader(max_path_bytes), dict[str, bytes | None]()
    last: Member | None = None
    for at in range(0, len(data), piece):
        for event in reader.feed(data[at : at + piece]):
            if isinstance(event, Member):
                last = event
                found[event.path] = None if event.folder else b""
            else:
                assert last is not None
                found[last.path] = (found[last.path] or b"") + event
    reader.end()
    return found


def read_by_python(data: bytes) -> Read:
    """The same as Python's tarfile reads it."""
    found: Read = {}
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8") as tar:
        for member in tar:
            path = "/".join(part for part in member.name.split("/") if part not in ("", "."))
            assert member.isreg() or member.isdir()
            content = tar.extractfile(member)
            found[path] = content.read() if content is not None else None
    return found


def refused(data: bytes, piece: int = 10240) -> str:
    with pytest.raises(InvalidRequest) as caught:
        read(data, piece)
    assert caught.value.reason == Reason.TAR_INVALID
    return caught.value.detail


paths = st.lists(names, min_size=1, max_size=6).map("/".join)
contents = st.one_of(st.none(), st.binary(max_size=1500))


def has_no_conflict(files: Read) -> bool:
    """No file is above another path."""
    return not any(
        files.get("/".join(path.split("/")[:depth])) is not None
        for path in files
        for depth in range(1, path.count("/") + 1)
    )


trees = st.dictionaries(paths, contents, max_size=8).filter(has_no_conflict)


@given(trees, st.sampled_from(["gnu", "pax"]), st.integers(1, 3000), st.booleans())
def test_a_tar_is_read_as_it_was_written(files: Read, form: str, piece: int, dotted: bool) -> None:
    sent = {f"./{path}" if dotted else path: data for path, data in files.items()}
    data = tar_of(sent, FORMATS[form])
    assert read(data, piece) == files == read_by_python(data)


@given(trees, st.sampled_from(["gnu", "pax"]), st.data())
def test_a_tar_that_is_cut_off_anywhere_is_refused(files: Read, form: str, data: st.DataObject) -> None:
    whole = tar_of(files, FORMATS[form])
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        tar.getmembers()
        end = tar.offset + 2 * BLOCK if files else 2 * BLOCK
    assert "ends before its end" in refused(whole[: data.draw(st.integers(0, end - 1))])


@pytest.mark.parametrize("form", FORMATS)
def test_a_tar_is_refused_at_every_byte_that_it_is_cut_off_at(form: str) -> None:
    whole = tar_of({"a/b": b"x" * 700, "c" * 90 + "/d": b"", "e": b"y"}, FORMATS[form])
    end = whole.rindex(b"y") // BLOCK * BLOCK + 3 * BLOCK
    reader = TarReader(1000)
    for at in range(end):
        with pytest.raises(InvalidRequest, match="ends before its end"):
            reader.end()
        list(reader.feed(whole[at : at + 1]))
    reader.end()
    list(reader.feed(whole[end:]))
    reader.end()


def with_checksum(block: bytes) -> bytes:
    total = sum(block[:148]) + 8 * 32 + sum(block[156:])
    return block[:148] + b"%06o\0 " % total + block[156:]


@given(trees.filter(bool), st.sampled_from(["gnu", "pax"]), st.data())
@settings(max_examples=400)
def test_what_is_tampered_with_is_refused_or_read_as_python_reads_it(
    files: Read, form: str, data: st.DataObject
) -> None:
    tar = bytearray(tar_of(files, FORMATS[form]))
    block = data.draw(st.integers(0, len(tar) // BLOCK - 1)) * BLOCK
    for at in data.draw(st.lists(st.integers(0, BLOCK - 1), min_size=1, max_size=4)):
        tar[block + at] = data.draw(
            st.one_of(st.sampled_from(b"\0 /.0157xLgKS\x80\xff"), st.integers(0, 255))
        )
    tar[block : block + BLOCK] = with_checksum(bytes(tar[block : block + BLOCK]))
    try:
        ours = read(bytes(tar))
    except (InvalidRequest, PayloadTooLarge):
        return
    assert ours == read_by_python(bytes(tar))


@given(st.binary(max_size=3000))
def test_whatever_is_sent_is_refused_as_no_tar(data: bytes) -> None:
    try:
        assert read(data) == {}
    except InvalidRequest as error:
        assert error.reason == Reason.TAR_INVALID


@pytest.mark.parametrize(
    "name",
    [
        *("/etc/passwd", "../x", "a/../../x", "..", "a/..", "a//b", "a\nb", "x" * 256, "a/" * 2000 + "b"),
        *(UPLOAD_PREFIX + "1-x", f"a/{UPLOAD_PREFIX}1-x/b", "\udcff", "./", ".", "", "a/."),
    ],
)
@pytest.mark.parametrize("form", ["gnu", "pax"])
def test_a_path_that_no_file_of_the_folder_has_is_refused(name: str, form: str) -> None:
    if name == "a/.":
        assert read(tar_of({name: b"x"}, FORMATS[form])) == {"a": b"x"}
        return
    try:
        data = tar_of({name: b"x"}, FORMATS[form])
    except UnicodeEncodeError:
        return
    refused(data)


@pytest.mark.parametrize(
    "kind",
    [
        *(tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE),
        *(tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, b"V", b"M", b"D", b"A"),
    ],
)
def test_what_is_neither_file_nor_folder_is_refused(kind: bytes) -> None:
    info = tarfile.TarInfo("name")
    info.type, info.linkname = kind, "/etc/passwd"
    assert "only files and folders" in refused(tar_with([(info, b"")], tarfile.GNU_FORMAT))


@pytest.mark.parametrize(
    "headers",
    [
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "x"},
        {"GNU.sparse.size": "5"},
        {"size": "-5"},
        {"size": "1e3"},
        {"size": ""},
        {"path": "/etc/passwd"},
        {"path": "../x"},
        {"path": ""},
    ],
)
def test_an_extended_header_that_deceives_is_refused(headers: dict[str, str]) -> None:
    info = tarfile.TarInfo("name")
    info.pax_headers = headers
    refused(tar_with([(info, b"")]))


def test_an_extended_size_counts_and_others_are_passed_over() -> None:
    info = tarfile.TarInfo("name")
    info.pax_headers = {"size": "5", "comment": "x", "LIBARCHIVE.xattr.user.x": "y", "mtime": "1.5"}
    data = tar_with([(info, b"")])[: 3 * BLOCK] + b"12345".ljust(BLOCK, b"\0") + bytes(2 * BLOCK)
    assert read(data) == {"name": b"12345"} == read_by_python(data)


def test_a_header_of_all_entries_is_passed_over_unless_it_names_them() -> None:
    for headers, taken in ({"comment": "a commit"}, True), ({"path": "x"}, False), ({"size": "1"}, False):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT, pax_headers=headers) as tar:
            tar.addfile(tarfile.TarInfo("name"))
        if taken:
            assert read(packed.getvalue()) == {"name": b""}
        else:
            refused(packed.getvalue())


@pytest.mark.parametrize(
    "members",
    [
        [("a", b"1"), ("a", b"2")],
        [("a", b"1"), ("./a", b"2")],
        [("a", b"1"), ("a", None)],
        [("a", None), ("a", b"1")],
        [("a", b"1"), ("a/b", b"2")],
        [("a/b", b"2"), ("a", b"1")],
        [("a/b/c", None), ("a", b"1")],
    ],
)
def test_entries_that_contradict_each_other_are_refused(members: list[tuple[str, bytes | None]]) -> None:
    fault = refused(tar_with(entry(name, data) for name, data in members))
    assert "twice" in fault or "a file and a folder" in fault


def test_a_folder_may_come_again_and_after_what_is_in_it() -> None:
    reader = TarReader(100)
    sent = [("a", None), ("a/b", b"1"), ("a", None), ("./", None), ("a/c/d", None), ("a/c", None)]
    list(reader.feed(tar_with(entry(name, data) for name, data in sent)))
    reader.end()
    assert (reader.files, reader.folders, reader.size) == (1, 3, 1)


def test_what_follows_the_end_is_refused_and_padding_is_not() -> None:
    data = tar_of({"a": b"x"})
    assert read(data + bytes(20000), piece=700) == {"a": b"x"}
    refused(data + b"x")
    refused(data + tar_of({"b": b"y"}))
    refused(data.rstrip(b"\0").ljust(2 * BLOCK, b"\0") + bytes(BLOCK) + tar_of({"b": b"y"}))


def test_how_many_entries_there_may_be_is_bounded() -> None:
    # A path of a hundred names is an entry for each folder in it.
    paths = [f"{number}/" + "a/" * 98 + "f" for number in range(MAX_ENTRIES // 100)]
    with pytest.raises(PayloadTooLarge) as caught:
        read(tar_of(dict.fromkeys(paths, b"")))
    assert caught.value.reason == Reason.TOO_MANY_FILES
    # The folder that is unpacked into counts as well.
    paths[-1] = paths[-1].replace("a/", "", 1)
    assert len(read(tar_of(dict.fromkeys(paths, b"")))) == len(paths)


def test_how_long_paths_are_together_is_bounded() -> None:
    # Each of its folders has a path of its own, of 1,000 characters on average.
    paths = [f"{number}/" + "a/" * 998 + "f" for number in range(MAX_PATHS_BYTES // 1_000_000)]
    assert len(read(tar_of(dict.fromkeys(paths, b"")))) == len(paths)
    with pytest.raises(PayloadTooLarge) as caught:
        read(tar_of(dict.fromkeys([*paths, "b" + paths[0]], b"")))
    assert caught.value.reason == Reason.TOO_MANY_FILES


def one(name: str, kind: bytes, data: bytes = b"") -> bytes:
    """One header and its content, without the end of a tar."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data)
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % BLOCK)


def record(size: int) -> bytes:
    """A record of a pax header that is ``size`` bytes long."""
    head = f"{size} comment=".encode()
    return head + b"x" * (size - len(head) - 1) + b"\n"


COMMON = one("g", b"g", record(20))
LONG = one("x", b"x", record(60_000))
FOLDER = one("a/", b"5")
FILES_FOLDER = one("x", b"x", record(20)) + FOLDER

ENDLESS = {
    "common headers": (COMMON, MAX_COMMON_HEADERS * len(COMMON)),
    "long common headers": (one("g", b"g", record(60_000)), MAX_EXTENSIONS_BYTES),
    "extended headers": (LONG + FOLDER, MAX_EXTENSIONS_BYTES + MAX_MEMBERS * BLOCK),
    "the same folder": (FOLDER, MAX_MEMBERS * BLOCK),
    "the same folder, extended": (FILES_FOLDER, MAX_MEMBERS * len(FILES_FOLDER)),
    "common headers between folders": (COMMON + FOLDER, MAX_COMMON_HEADERS * len(COMMON + FOLDER)),
    "zeros": (bytes(BLOCK), MAX_ZEROS_BYTES + 2 * BLOCK),
}
"""What can be repeated without end and without content, and how many bytes of it are read at most."""


@pytest.mark.parametrize("name", ENDLESS)
def test_what_is_no_content_has_an_end(name: str) -> None:
    unit, most = ENDLESS[name]
    reader, piece = TarReader(4000), unit * max(1, 65536 // len(unit))
    taken = 0
    with pytest.raises(PayloadTooLarge) as caught:
        while taken <= 2 * most:
            list(reader.feed(piece))
            taken += len(piece)
    assert caught.value.reason == Reason.TOO_MANY_FILES
    assert taken <= most


def test_as_many_headers_as_there_may_be_are_read() -> None:
    data = COMMON * MAX_COMMON_HEADERS + FOLDER * 2 + one("a/f", b"0", b"x") + bytes(20 * BLOCK)
    assert read(data, piece=65536) == {"a": None, "a/f": b"x"}
