"""read.sh, list.sh, archive.sh and delete.sh by themselves, under every shell that this machine has."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator, Callable

import pytest

from shared.core.files.download import FileFacts
from shared.core.files.listing import Entry, first_entries
from shared.core.files.scripts import Script
from tests.shared.core.files.test_put_script import NAMES
from tests.support.patience import PATIENCE
from tests.support.pod_scripts import SEPARATE, Pod, names_in

DATA = bytes(range(256)) * 300
HOSTILE = [*(name.encode() for name in NAMES), b"line\nbreak", b"\n", b"not \xff utf-8", b"a\nb 81a4 1 1 c"]


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_read_with_facts_and_hash(pod: Pod, name: str) -> None:
    (pod.workspace / name).mkdir()
    file = pod.workspace / name / name
    file.write_bytes(DATA)
    file.chmod(0o640)
    os.utime(file, (1e9, 1e9))
    code, (facts, digest, content) = pod.read(f"{name}/{name}")
    assert (code, digest, content) == (0, sha256(DATA), DATA)
    read = FileFacts.read(facts.decode())
    assert (read.size, read.modified_at.timestamp(), read.mode) == (len(DATA), 1e9, 0o640)
    assert read.etag.startswith(f'"{file.stat().st_ino:x}-{len(DATA):x}-')


@pytest.mark.parametrize(
    ("first", "length"),
    [(0, 0), (0, 1), (1, 1), (4095, 4098), (70000, 6800), (76799, 1), (0, 76799), (5, 1000)],
)
def test_a_part_is_read_with_its_own_hash(pod: Pod, first: int, length: int) -> None:
    (pod.workspace / "file").write_bytes(DATA)
    code, (_, digest, content) = pod.read("file", f"{first} {length}\n")
    part = DATA[first : first + length]
    assert (code, digest, content) == (0, sha256(part), part)


def test_who_wants_no_bytes_gets_the_facts_alone(pod: Pod) -> None:
    (pod.workspace / "file").write_bytes(DATA)
    code, answer = pod.read("file", "")
    assert code == 0
    assert len(answer) == 2
    assert answer[1] == b""


def etag(pod: Pod) -> str:
    return FileFacts.read(pod.read("file", "")[1][0].decode()).etag


def test_the_etag_changes_with_the_file_even_if_size_and_time_do_not(pod: Pod) -> None:
    file = pod.workspace / "file"
    file.write_bytes(b"one")
    os.utime(file, (1e9, 1e9))
    before = etag(pod)
    assert etag(pod) == before
    with file.open("r+b") as opened:
        opened.write(b"two")
    os.utime(file, (1e9, 1e9))
    assert etag(pod) != before


# What happens to a file after its facts were told: how, and whether what was told is still all there.
CHANGES: dict[str, tuple[Callable[[bytes], bytes], bool]] = {
    "appended": (lambda data: data + b"more", True),
    "appended much": (lambda data: data + bytes(300_000), True),
    "beginning rewritten": (lambda data: b"new" + data[3:], False),
    "beginning rewritten and appended": (lambda data: b"new" + data[3:] + b"more", False),
    "end rewritten and appended": (lambda data: data[:-1] + b"?more", False),
    "cut off": (lambda data: data[:-1], False),
    "emptied": (lambda _: b"", False),
    "another file, longer": (lambda data: b"x" * (len(data) + 10), False),
    "written again as it was": (lambda data: data, False),
}


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("part", ["all", "beginning", "end"])
def test_a_file_is_sent_as_it_was_told_or_it_is_said_that_it_changed(
    pod: Pod, change: str, large: bool, part: str
) -> None:
    data = DATA * 3 if large else DATA[:5000]
    file = pod.workspace / "file"
    file.write_bytes(data)
    os.utime(file, (1e9, 1e9))
    process = pod.start("read", "file")
    assert process.stdin is not None and process.stdout is not None
    assert int(process.stdout.readline().split()[0]) == len(data)
    make, intact = CHANGES[change]
    with file.open("r+b") as opened:
        opened.write(make(data))
        opened.truncate()
    first, end = {"all": (0, len(data)), "beginning": (0, 10), "end": (len(data) - 10, len(data))}[part]
    said, errors = process.communicate(b"%d %d\n" % (first, end - first), timeout=PATIENCE)
    wanted = data[first:end]
    assert not errors
    if intact:
        assert (process.returncode, said) == (0, sha256(wanted) + b"\n" + wanted)
    else:
        assert (process.returncode, said) == (1, b"!changed\n")


@pytest.mark.parametrize(("change", "code"), [("appended", 0), ("another file, longer", 3), ("cut off", 3)])
def test_a_file_that_changes_under_way_is_sent_as_announced_or_ends_with_a_fault(
    pod: Pod, change: str, code: int
) -> None:
    data = DATA * 60  # more than a pipe holds
    file = pod.workspace / "file"
    file.write_bytes(data)
    process = pod.start("read", "file")
    assert process.stdin is not None and process.stdout is not None
    process.stdout.readline()
    process.stdin.write(b"0 %d\n" % len(data))
    process.stdin.flush()
    assert process.stdout.readline().rstrip() == sha256(data)
    begun = process.stdout.read(10)
    with file.open("r+b") as opened:
        opened.write(CHANGES[change][0](data))
        opened.truncate()
    said = begun + process.stdout.read()
    process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert (said == data) is (code == 0)


def test_a_file_that_is_always_appended_to_is_read_at_every_try(pod: Pod) -> None:
    data = DATA * 3
    (pod.workspace / "file").write_bytes(data)
    script = "import sys\nwith open(sys.argv[1], 'ab', 0) as file:\n while True: file.write(b'row\\n' * 100)"
    writer = subprocess.Popen([sys.executable, "-c", script, str(pod.workspace / "file")])
    try:
        for _ in range(5):
            code, (facts, digest, content) = pod.read("file", f"0 {len(data)}\n")
            assert (code, digest, content) == (0, sha256(data), data)
            assert FileFacts.read(facts.decode()).size >= len(data)
    finally:
        writer.kill()
        writer.wait()


def test_a_link_within_the_workspace_is_followed(pod: Pod) -> None:
    (pod.workspace / "folder").mkdir()
    (pod.workspace / "folder/file").write_bytes(DATA)
    (pod.workspace / "link").symlink_to("folder/file")
    (pod.workspace / "way").symlink_to(pod.workspace / "folder")
    assert pod.read("link")[1][2] == DATA
    assert pod.read("way/file")[1][2] == DATA


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("nothing", b"!missing"),
        ("nothing/file", b"!missing"),
        ("dangling", b"!missing"),
        ("file/x", b"!not-a-folder"),
        ("folder", b"!folder"),
        ("pipe", b"!not-a-file"),
        ("link-to-pipe", b"!not-a-file"),
        ("out", b"!outside"),
        ("way/secret", b"!outside"),
        ("hard/secret", b"!outside"),
    ],
)
def test_what_cannot_be_read_is_named_and_nothing_hangs(pod: Pod, path: str, word: bytes) -> None:
    (pod.outside / "secret").write_bytes(b"secret")
    (pod.workspace / "file").write_bytes(DATA)
    (pod.workspace / "folder").mkdir()
    os.mkfifo(pod.workspace / "pipe")
    for link, target in {
        "dangling": "nothing",
        "link-to-pipe": "pipe",
        "out": str(pod.outside / "secret"),
        "way": "../outside",
        "hard": "folder/../../outside",
    }.items():
        (pod.workspace / link).symlink_to(target)
    code, answer = pod.read(path, "0 6\n")
    assert (code, answer) == (1, [word, b""])


async def entries(pod: Pod, *path: str, limit: int = 10_000, after: bytes = b"") -> list[Entry]:
    code, output = pod.run("list", *path)
    assert code == 0
    word, _, rest = output.partition(b"\n")
    assert word == b"entries"

    async def in_crumbs() -> AsyncIterator[bytes]:
        for at in range(0, len(rest), 7):
            yield rest[at : at + 7]

    return await first_entries(in_crumbs(), limit=limit, after=after)


async def test_a_list_has_every_entry_as_it_is(pod: Pod) -> None:
    pod.fill(HOSTILE, b"12345")
    (pod.workspace / ".hidden").mkdir()
    (pod.workspace / "..odd").symlink_to("nothing")
    os.mkfifo(pod.workspace / "pipe")
    found = {entry.name: entry for entry in await entries(pod)}
    assert sorted(found) == sorted([*HOSTILE, b".hidden", b"..odd", b"pipe"])
    assert {found[name].type for name in HOSTILE} == {"file"}
    assert {found[name].size for name in HOSTILE} == {5}
    assert [found[name].type for name in (b".hidden", b"..odd", b"pipe")] == ["directory", "symlink", "other"]
    file = (pod.workspace / "plain").stat()
    assert found[b"plain"].modified_at.timestamp() == int(file.st_mtime)
    assert found[b"plain"].mode == file.st_mode & 0o7777


async def test_an_empty_folder_has_no_entries_and_unfinished_uploads_are_none(pod: Pod) -> None:
    (pod.workspace / "empty").mkdir()
    assert await entries(pod, "empty") == []
    (pod.workspace / f"empty/.gamgui-upload-{os.getpid()}-ab").touch()
    (pod.workspace / "empty/.gamgui-upload-999999999-ab").touch()
    assert await entries(pod, "empty") == []
    assert pod.rests == [f".gamgui-upload-{os.getpid()}-ab"]  # one of a process that is gone is removed


async def test_a_large_folder_is_listed_in_pages_that_make_up_the_whole(pod: Pod) -> None:
    names = sorted(b"%x" % (number * 7919) for number in range(1001))
    for name in names:
        (pod.workspace / name.decode()).touch()
    got: list[bytes] = []
    while True:
        page = await entries(pod, limit=300, after=got[-1] if got else b"")
        got += [entry.name for entry in page]
        if len(page) < 300:
            break
    assert got == names


@pytest.mark.parametrize(
    ("path", "word"), [("file", b"!not-a-folder\n"), ("nothing", b"!missing\n"), ("out", b"!outside\n")]
)
@pytest.mark.parametrize("script", ["list", "archive"])
def test_what_is_no_folder_of_the_workspace_is_neither_listed_nor_packed(
    pod: Pod, script: Script, path: str, word: bytes
) -> None:
    (pod.workspace / "file").touch()
    (pod.workspace / "out").symlink_to(pod.outside)
    assert pod.run(script, path) == (1, word)


def test_a_folder_is_packed_with_all_that_is_in_it_and_links_as_links(pod: Pod) -> None:
    (pod.outside / "secret").write_bytes(b"secret")
    deep = pod.workspace / "folder/deep er"
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(DATA)
    (deep / "link").symlink_to(pod.outside / "secret")
    if not pod.tools.busybox:  # the tar of a small busybox cannot leave anything out
        (deep / ".gamgui-upload-1-ab").write_bytes(b"half")
    code, output = pod.run("archive", "folder")
    word, _, packed = output.partition(b"\n")
    assert (code, word) == (0, b"archive")
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        names = {member.name.removeprefix("./") for member in tar}
        assert names - {"."} == {"deep er", "deep er/file", "deep er/link"}
        assert tar.getmember("./deep er/link").issym()
        content = tar.extractfile("./deep er/file")
        assert content is not None
        assert content.read() == DATA
    assert b"secret" not in packed.replace(b"outside/secret", b"")


def test_a_tar_goes_on_past_a_file_that_grows_and_its_words_follow(pod: Pod) -> None:
    large = DATA * 100
    for name in ("first", "second", "third"):
        (pod.workspace / name).write_bytes(large)
    process = pod.start("archive")
    assert process.stdout is not None
    begun = process.stdout.read(200_000)
    for name in ("first", "second", "third"):
        with (pod.workspace / name).open("ab") as file:
            file.write(b"more")
    _, _, output = (begun + process.stdout.read()).partition(b"\n")
    process.communicate(timeout=PATIENCE)
    with tarfile.open(fileobj=io.BytesIO(output)) as tar:
        sizes = {member.name: member.size for member in tar if member.isfile()}
        found = {name: tar.extractfile(f"./{name}") for name in ("first", "second", "third")}
        assert all(content is not None and content.read().startswith(large) for content in found.values())
    assert sorted(set(sizes.values())) in ([len(large)], [len(large), len(large) + 4])
    if pod.tools.busybox:  # it does not look whether a file has changed
        assert process.returncode == 0
    else:
        assert process.returncode == 4
        assert b"changed as we read it\ntar ended with 1\n" in output


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_deleted_and_nothing_else(pod: Pod, name: str) -> None:
    (pod.workspace / name).touch()
    (pod.workspace / "other").touch()
    assert pod.run("delete", name) == (0, b"deleted\n")
    assert names_in(pod.workspace) == ["other"]
    assert pod.run("delete", name) == (1, b"!missing\n")


def test_a_link_is_deleted_not_what_it_leads_to(pod: Pod) -> None:
    (pod.outside / "file").touch()
    (pod.workspace / "file").symlink_to(pod.outside / "file")
    (pod.workspace / "folder").symlink_to(pod.outside)
    for name in ("file", "folder"):
        assert pod.run("delete", name) == (0, b"deleted\n")
    assert names_in(pod.outside) == ["file"]
    assert names_in(pod.workspace) == []


def test_only_an_empty_folder_is_deleted(pod: Pod) -> None:
    (pod.workspace / "full/inner").mkdir(parents=True)
    (pod.workspace / "full/inner/.gamgui-upload-999999999-ab").touch()
    assert pod.run("delete", "full") == (1, b"!not-empty\n")
    assert pod.run("delete", "inner", "full") == (0, b"deleted\n")
    assert pod.run("delete", "full") == (0, b"deleted\n")
    assert names_in(pod.workspace) == []


def test_nothing_is_deleted_through_a_link_that_leads_out(pod: Pod) -> None:
    (pod.outside / "file").touch()
    (pod.workspace / "way").symlink_to(pod.outside)
    assert pod.run("delete", "file", "way") == (1, b"!outside\n")
    assert names_in(pod.outside) == ["file"]


@pytest.mark.parametrize("pod", SEPARATE, ids=lambda tools: tools.name, indirect=True)
def test_a_tool_that_the_image_lacks_is_named(pod: Pod) -> None:
    pod.environment["PATH"] = str(pod.outside)
    assert pod.run("list") == (1, b"!missing-tool readlink\n")
