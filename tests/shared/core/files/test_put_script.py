"""put.sh by itself, under every shell that this machine has."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import signal
import stat
import sys
import time
import zlib
from collections.abc import Iterator

import pytest
from _pytest.mark.structures import ParameterSet

from tests.support.needs import needs
from tests.support.patience import PATIENCE
from tests.support.pod_scripts import APPLETS, BUSYBOX, SEPARATE, Pod, names_in, seal
from tests.support.proofs import seed, share

DATA = bytes(range(256)) * 300
OTHER = b"old"
NAMES = [
    "plain",
    "-rf",
    "--help",
    " lead and trail ",
    "a'b\"c",
    "$(id)`id`$HOME",
    "*",
    "?[x]",
    "ä€😀",
    "tab\tand\rreturn",
    "back\\slash",
    "~",
    "!",
    "=",
    "x" * 255,
]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def said(data: bytes, result: str) -> bytes:
    return f"stored {len(data)} {sha256(data)} {result}\n".encode()


@pytest.mark.parametrize("data", [b"", b"x", DATA], ids=["0", "1", "77 kB"])
def test_a_file_is_stored_and_hashed(pod: Pod, data: bytes) -> None:
    assert pod.put("file", data) == said(data, "created")
    assert (pod.workspace / "file").read_bytes() == data
    assert pod.put("file", OTHER) == said(OTHER, "replaced")
    assert (pod.workspace / "file").read_bytes() == OTHER
    assert pod.rests == []


BLOCK = 16 * 1024 * 1024
SHORT = [0, 5]
LONG = [BLOCK - 64, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK - 63, 2 * BLOCK + 12345]
TOOLS = [*SEPARATE, BUSYBOX]


def tried() -> Iterator[ParameterSet]:
    """Each length under one shell; make prove-files tries all under all, as a long one costs two seconds."""
    turn = zlib.crc32(seed().encode())
    for place, (row, length) in itertools.product(range(len(TOOLS)), enumerate([*SHORT, *LONG])):
        if length in SHORT or (place + row + turn) % share(len(TOOLS)) == 0:
            tools = TOOLS[place]
            marks = needs("busybox") if tools.busybox else ()
            yield pytest.param(tools, length, id=f"{tools.name}-{length}", marks=marks)


@pytest.mark.parametrize(("pod", "length"), list(tried()), indirect=["pod"])
def test_what_is_known_to_be_long_is_hashed_while_it_comes(pod: Pod, length: int) -> None:
    data = (DATA * (length // len(DATA) + 1))[:length]
    assert pod.put("file", data, length=length) == said(data, "created")
    assert (pod.workspace / "file").read_bytes() == data
    junk = data + b"junk" + seal(data)[-64:]
    for wrong in (seal(data)[:-1], seal(data)[1:], seal(data + b"x"), data, junk):
        assert pod.put("file", b"", sealed=wrong, length=length) == b"!broken\n"
    assert (pod.workspace / "file").read_bytes() == data
    assert pod.rests == []


@pytest.mark.parametrize("pod", SEPARATE, ids=lambda tools: tools.name, indirect=True)
@pytest.mark.parametrize("hasher", [pytest.param("openssl", marks=needs("openssl")), "python3"])
@pytest.mark.parametrize("work", [True, False], ids=["work", "fail"])
def test_what_is_long_is_hashed_by_what_the_image_has(pod: Pod, hasher: str, work: bool) -> None:
    for name in [*APPLETS.split(), *([hasher] if work else [])]:
        program = sys.executable if name == "python3" else shutil.which(name)
        assert program is not None
        (pod.outside / name).symlink_to(program)
    if not work:
        (pod.outside / hasher).write_text("#!/bin/sh\ncat >/dev/null\necho deadbeef\n")
        (pod.outside / hasher).chmod(0o755)
    pod.environment["PATH"] = str(pod.outside)
    data = DATA * (2 * BLOCK // len(DATA) + 1)
    assert pod.put("file", data, length=len(data)) == said(data, "created")
    assert pod.put("file", b"", sealed=seal(data)[1:] + b"x", length=len(data)) == b"!broken\n"
    code, (_, sum_, content) = pod.read("file")
    assert (code, sum_.decode(), content == data) == (0, sha256(data), True)


@pytest.mark.parametrize("first", [None, 0, 1000])
def test_a_short_piece_is_compared_with_what_it_is_told_to_be(pod: Pod, first: int | None) -> None:
    (pod.workspace / "file").write_bytes(OTHER)
    if first:
        pod.put("file", DATA[:first], piece=piece(0, 9000))
    described = piece(first, 9000) if first is not None else ()
    data = DATA[first or 0 : 9000]
    for sent in (b"", data[:-1], data[1:], data + b"x", seal(data)):
        wrong = pod.put("file", sent, piece=described, length=len(data), told=sha256(data))
        assert wrong == b"!broken\n"
    assert (pod.workspace / "file").read_bytes() == OTHER
    done = pod.put("file", data, piece=described, length=len(data), told=sha256(data))
    assert done == said(DATA[:9000], "replaced")
    assert (pod.workspace / "file").read_bytes() == DATA[:9000]
    assert pod.rests == []


def test_an_empty_file_is_a_short_one(pod: Pod) -> None:
    assert pod.put("file", b"", length=0, told=sha256(b"")) == said(b"", "created")
    assert pod.put("new/file", b"", length=0, told=sha256(b"")) == said(b"", "created")
    assert (pod.workspace / "new/file").read_bytes() == b""


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_only_a_name(pod: Pod, name: str) -> None:
    assert pod.put(f"{name}/{name}", DATA) == said(DATA, "created")
    assert (pod.workspace / name / name).read_bytes() == DATA
    assert names_in(pod.workspace) == [name]


def test_a_file_keeps_its_mode_and_a_new_one_gets_the_usual(pod: Pod) -> None:
    (pod.workspace / "script").write_bytes(OTHER)
    (pod.workspace / "script").chmod(0o751)
    pod.put("script", DATA)
    began = time.time()
    pod.put("new/file", DATA)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((pod.workspace / "script").stat().st_mode) == 0o751
    assert stat.S_IMODE((pod.workspace / "new/file").stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE((pod.workspace / "new").stat().st_mode) == 0o777 & ~umask
    # The kernel stamps by its last tick.
    assert began - 1 <= (pod.workspace / "new/file").stat().st_mtime <= time.time()


@pytest.mark.parametrize(
    "sealed",
    [b"", DATA, seal(DATA)[:-1], seal(DATA)[:1000], seal(DATA)[1:], b"x" * 63],
    ids=["nothing", "no hash", "a byte short", "broken off", "first byte lost", "shorter than a hash"],
)
def test_input_that_is_not_whole_changes_nothing(pod: Pod, sealed: bytes) -> None:
    (pod.workspace / "file").write_bytes(OTHER)
    assert pod.put("file", b"", sealed=sealed) == b"!broken\n"
    assert (pod.workspace / "file").read_bytes() == OTHER
    assert pod.rests == []


def test_a_script_that_is_ended_leaves_no_rest(pod: Pod) -> None:
    process = pod.start("put", "0123abcd", *[""] * 6, "file")
    assert process.stdin is not None
    process.stdin.write(DATA)
    process.stdin.flush()
    wait_for_rest(pod)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert pod.rests == []


def test_what_a_killed_script_leaves_is_removed_by_the_next(pod: Pod) -> None:
    process = pod.start("put", "0123abcd", *[""] * 6, "file")
    wait_for_rest(pod)
    live = pod.start("put", "4567abcd", *[""] * 6, "other")
    wait_for_rest(pod, count=2)
    process.kill()
    process.communicate(timeout=PATIENCE)
    pod.put("third", DATA)
    assert [rest for rest in pod.rests if "0123" in rest] == []
    assert len(pod.rests) == 1  # the one that is being written is left alone
    out, _ = live.communicate(seal(DATA), timeout=PATIENCE)
    assert out == said(DATA, "created")
    assert pod.rests == []


def wait_for_rest(pod: Pod, count: int = 1) -> None:
    end = time.monotonic() + PATIENCE
    while len(pod.rests) < count:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_link_within_the_workspace_leads_where_it_says(pod: Pod) -> None:
    (pod.workspace / "real").mkdir()
    (pod.workspace / "link").symlink_to("real")
    assert pod.put("link/file", DATA) == said(DATA, "created")
    assert (pod.workspace / "real/file").read_bytes() == DATA


@pytest.mark.parametrize("target", ["../outside", "ABSOLUTE", "/", ".."])
def test_a_link_that_leads_out_is_refused(pod: Pod, target: str) -> None:
    (pod.workspace / "link").symlink_to(str(pod.outside) if target == "ABSOLUTE" else target)
    assert pod.put("link/file", DATA) == b"!outside\n"
    assert pod.put("link/new/file", DATA) == b"!outside\n"
    assert names_in(pod.outside) == []
    assert names_in(pod.workspace) == ["link"]


def test_a_folder_whose_name_begins_as_the_workspaces_is_outside(pod: Pod) -> None:
    beside = pod.workspace.with_name("workspace-of-another")
    beside.mkdir()
    (pod.workspace / "link").symlink_to(beside)
    assert pod.put("link/file", DATA) == b"!outside\n"
    assert names_in(beside) == []


def test_a_link_at_the_files_place_is_replaced_not_followed(pod: Pod) -> None:
    (pod.outside / "victim").write_bytes(OTHER)
    (pod.workspace / "link").symlink_to(pod.outside / "victim")
    (pod.workspace / "dangling").symlink_to(pod.outside / "nothing")
    for name in ("link", "dangling"):
        assert pod.put(name, DATA) == said(DATA, "replaced")
        assert not (pod.workspace / name).is_symlink()
    assert (pod.outside / "victim").read_bytes() == OTHER
    assert names_in(pod.outside) == ["victim"]


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("folder", b"!folder\n"),
        ("link-to-folder", b"!folder\n"),
        ("file/x", b"!not-a-folder\n"),
        ("file/x/y", b"!not-a-folder\n"),
        ("dangling/x", b"!missing\n"),
    ],
)
def test_what_is_in_the_way_is_named(pod: Pod, path: str, word: bytes) -> None:
    (pod.workspace / "folder").mkdir()
    (pod.workspace / "link-to-folder").symlink_to("folder")
    (pod.workspace / "dangling").symlink_to("nothing")
    (pod.workspace / "file").write_bytes(OTHER)
    assert pod.put(path, DATA) == word
    assert (pod.workspace / "file").read_bytes() == OTHER
    assert names_in(pod.workspace / "folder") == []
    assert pod.rests == []


@pytest.mark.parametrize("pod", SEPARATE, ids=lambda tools: tools.name, indirect=True)
def test_an_mv_that_might_move_into_a_folder_is_not_made_do_with(pod: Pod) -> None:
    old = pod.outside / "mv"
    old.write_text("#!/bin/sh\necho \"mv: invalid option -- 'T'\" >&2\nexit 1\n")
    old.chmod(0o755)
    pod.environment["PATH"] = f"{pod.outside}:{pod.environment['PATH']}"
    assert pod.put("file", DATA) == b"!missing-tool mv -T\n"
    assert names_in(pod.workspace) == []


def piece(first: int | str, total: int, digest: str = "", upload: str = "abc") -> tuple[str, ...]:
    return (upload, str(first), str(total), digest)


def test_pieces_become_a_file_when_the_last_has_come(pod: Pod) -> None:
    size = len(DATA)
    (pod.workspace / "file").write_bytes(OTHER)
    assert pod.put("file", DATA[:1000], piece=piece(0, size)) == b"have 1000\n"
    assert pod.put("file", DATA[1000:5000], piece=piece(1000, size)) == b"have 5000\n"
    assert (pod.workspace / "file").read_bytes() == OTHER
    assert pod.put("file", b"", piece=piece("*", size)) == b"have 5000\n"
    assert pod.put("file", DATA[5000:], piece=piece(5000, size, sha256(DATA))) == said(DATA, "replaced")
    assert (pod.workspace / "file").read_bytes() == DATA
    assert pod.rests == []
    assert pod.put("file", b"", piece=piece("*", size)) == b"have 0\n"


def test_a_piece_that_does_not_follow_on_changes_nothing(pod: Pod) -> None:
    pod.put("file", DATA[:1000], piece=piece(0, 9000))
    for first in (0, 999, 1001, 5000):
        assert pod.put("file", DATA[:10], piece=piece(first, 9000)) == b"have 1000\n"
    assert pod.put("file", DATA[1000:9000], piece=piece(1000, 9000)) == said(DATA[:9000], "created")


def test_a_piece_that_breaks_off_counts_for_nothing(pod: Pod) -> None:
    pod.put("file", DATA[:1000], piece=piece(0, 9000))
    assert pod.put("file", b"", sealed=seal(DATA[1000:5000])[:-7], piece=piece(1000, 9000)) == b"!broken\n"
    assert pod.put("file", b"", piece=piece("*", 9000)) == b"have 1000\n"
    assert pod.put("file", DATA[1000:9000], piece=piece(1000, 9000)) == said(DATA[:9000], "created")
    assert pod.rests == []


def test_uploads_of_different_names_do_not_mix(pod: Pod) -> None:
    ours, theirs = DATA[:9000], bytes(reversed(DATA[:9000]))
    pod.put("file", ours[:1000], piece=piece(0, 9000, upload="a"))
    pod.put("file", theirs[:2000], piece=piece(0, 9000, upload="b"))
    assert pod.put("file", ours[1000:], piece=piece(1000, 9000, upload="a")) == said(ours, "created")
    assert pod.put("file", theirs[2000:], piece=piece(2000, 9000, upload="b")) == said(theirs, "replaced")
    assert (pod.workspace / "file").read_bytes() == theirs
    assert pod.rests == []


def test_the_whole_must_be_what_was_announced(pod: Pod) -> None:
    (pod.workspace / "file").write_bytes(OTHER)
    pod.put("file", DATA[:1000], piece=piece(0, 9000))
    wrong = pod.put("file", DATA[1000:9000], piece=piece(1000, 9000, sha256(b"another")))
    assert wrong == b"!wrong-digest\n"
    assert (pod.workspace / "file").read_bytes() == OTHER
    assert pod.rests == []


def test_of_two_who_send_the_same_piece_one_adds_it(pod: Pod) -> None:
    pod.put("file", DATA[:1000], piece=piece(0, 9000))
    both = [pod.start("put", tag, *piece(1000, 9000), "", "", "file") for tag in ("aa", "bb")]
    wait_for_rest(pod, count=3)
    for process in both:
        assert process.stdin is not None
        process.stdin.write(seal(DATA[1000:5000]))
        process.stdin.close()
    said_by_both = []
    for process in both:
        assert process.stdout is not None and process.stderr is not None
        said_by_both.append(process.stdout.read())
        process.wait(PATIENCE)
        process.stdout.close()
        process.stderr.close()
    assert b"have 5000\n" in said_by_both
    assert set(said_by_both) <= {b"have 5000\n", b"have 0\n"}  # who comes second may look in the midst of it
    assert pod.put("file", DATA[5000:9000], piece=piece(5000, 9000)) == said(DATA[:9000], "created")


@pytest.mark.parametrize("swapped_for", ["link", "other size"])
def test_a_beginning_that_somebody_has_exchanged_is_not_added_to(pod: Pod, swapped_for: str) -> None:
    pod.put("file", DATA[:1000], piece=piece(0, 9000))
    beginning = pod.workspace / pod.rests[0]
    victim = pod.outside / "victim"
    victim.write_bytes(DATA[:1000])
    beginning.unlink()
    if swapped_for == "link":
        beginning.symlink_to(victim)
    else:
        beginning.write_bytes(DATA[:999])
    assert pod.put("file", DATA[1000:9000], piece=piece(1000, 9000)) == b"!broken\n"
    assert victim.read_bytes() == DATA[:1000]
    assert pod.rests == []


def test_a_beginning_that_nobody_goes_on_with_is_removed_after_an_hour(pod: Pod) -> None:
    pod.put("old", DATA[:1000], piece=piece(0, 9000, upload="old"))
    past = time.time() - 3700
    os.utime(pod.workspace / pod.rests[0], (past, past))
    pod.put("new", DATA[:1000], piece=piece(0, 9000, upload="new"))
    assert [rest.rpartition("-")[2] for rest in pod.rests] == ["new"]


@pytest.mark.parametrize("pod", SEPARATE, ids=lambda tools: tools.name, indirect=True)
def test_a_beginning_that_goes_while_it_is_looked_at_is_no_fault(pod: Pod) -> None:
    pod.put("theirs", DATA[:1000], piece=piece(0, 9000, upload="theirs"))
    stat = pod.outside / "stat"
    stat.write_text(f'#!/bin/sh\nrm -f "$PWD"/.gamgui-upload-at-*-theirs\nexec {shutil.which("stat")} "$@"\n')
    stat.chmod(0o755)
    pod.environment["PATH"] = f"{pod.outside}:{pod.environment['PATH']}"
    assert pod.put("file", DATA) == said(DATA, "created")
