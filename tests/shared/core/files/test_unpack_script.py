"""unpack.sh by itself, under every shell that this machine has."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import stat
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from shared.core.files.scripts import Script
from shared.core.files.unpack import NO_PLAN
from tests.shared.core.files.test_put_script import NAMES, OTHER, wait_for_rest
from tests.support.patience import PATIENCE
from tests.support.pod_scripts import SEPARATE, Pod, names_in
from tests.support.tars import FORMATS, entry, script_of, tar_of, tar_with

DATA = bytes(range(256)) * 20
LARGE = DATA * 300
Files = Mapping[str, bytes | None]


def unpack(pod: Pod, files: Files, target: str = "", form: str = "pax") -> str:
    """What unpack.sh says, less the hash that the upload has compared."""
    upload, script = asyncio.run(script_of(tar_of(files, FORMATS[form]), target))
    _, said = pod.run("unpack", "0123abcd", *(target.split("/") if target else ()), stdin=script)
    words = said.decode().split()
    if words[0] == "unpacked":
        upload.result(words)
    return " ".join(words[:2] if words[0] == "unpacked" else words)


def tree(folder: Path) -> Files:
    return {
        str(found.relative_to(folder)): None if found.is_dir() else found.read_bytes()
        for found in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize("form", ["gnu", "pax"])
def test_a_tree_comes_as_it_was(pod: Pod, form: str) -> None:
    files = {
        **{f"{name}/{name}": b"%d" % number for number, name in enumerate([*NAMES, "-", "cr\rx"])},
        **{f"flat/-{number}": b"%d" % number for number in range(1500)},
        "a": b"",
        "a.d": None,
        "a.d/empty": None,
        "a.d/b/c/d": DATA,
        "a.d/b/large": LARGE,
        "a.d/z": DATA,
        "flat/.hidden": b"h",
        "flat/..dots": b"d",
        "flat/...": b"t",
        "flat/-": b"minus",
    }
    assert unpack(pod, files, "into/some where", form) == "unpacked created"
    folders = {str(parent): None for name in files for parent in Path(name).parents if str(parent) != "."}
    assert tree(pod.workspace / "into/some where") == {**files, **folders}
    assert names_in(pod.workspace) == ["into"]
    assert unpack(pod, files, "into/some where", form) == "unpacked replaced"
    assert pod.rests == []


def test_an_empty_tar_makes_the_folder(pod: Pod) -> None:
    assert unpack(pod, {}, "new") == "unpacked created"
    assert unpack(pod, {}, "new") == "unpacked replaced"
    assert unpack(pod, {}) == "unpacked replaced"
    assert tree(pod.workspace) == {"new": None}


def test_files_of_the_same_names_are_replaced_and_others_stay(pod: Pod) -> None:
    pod.fill([b"stays", b"old"], OTHER)
    (pod.workspace / "folder").mkdir()
    pod.fill([b"folder/stays", b"folder/old"], OTHER)
    (pod.outside / "victim").write_bytes(OTHER)
    (pod.workspace / "link").symlink_to(pod.outside / "victim")
    assert unpack(pod, {"old": DATA, "folder/old": DATA, "link": DATA}) == "unpacked replaced"
    assert not (pod.workspace / "link").is_symlink()
    assert (pod.outside / "victim").read_bytes() == OTHER
    both = {"stays": OTHER, "old": DATA}
    there = {f"folder/{name}": data for name, data in both.items()}
    assert tree(pod.workspace) == {**both, **there, "folder": None, "link": DATA}


def test_files_get_the_usual_mode_and_time_and_may_be_executable(pod: Pod) -> None:
    sent = [entry("plain", b"", 0o600), entry("program", b"", 0o4755), entry("large", LARGE, 0o700)]
    _, script = asyncio.run(script_of(tar_with(sent)))
    began = time.time()
    assert pod.run("unpack", "0123abcd", stdin=script)[0] == 0
    umask = os.umask(0)
    os.umask(umask)
    for name, mode in (("plain", 0o666), ("program", 0o777), ("large", 0o777)):
        about = (pod.workspace / name).stat()
        assert stat.S_IMODE(about.st_mode) == mode & ~umask
        assert began - 1 <= about.st_mtime <= time.time()  # the kernel stamps by its last tick


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a": DATA, "folder": DATA}, "!in-the-way folder"),
        ({"a": DATA, "link-to-folder": DATA}, "!in-the-way link-to-folder"),
        ({"a": DATA, "folder/in ner": DATA}, "!in-the-way folder/in ner"),
        ({"a": DATA, "file/x": DATA}, "!not-a-folder"),
        ({"a": DATA, "file": None}, "!not-a-folder"),
        ({"a": DATA, "out/x": DATA}, "!outside"),
        ({"a": DATA, "folder/up/x": DATA}, "!outside"),
        ({"a": DATA, "dangling/x": DATA}, "!missing"),
    ],
)
def test_nothing_is_moved_when_something_is_in_the_way(pod: Pod, files: Files, said: str) -> None:
    (pod.workspace / "folder/in ner").mkdir(parents=True)
    (pod.workspace / "folder/up").symlink_to("../../outside")
    (pod.workspace / "out").symlink_to(pod.outside)
    (pod.workspace / "dangling").symlink_to("nothing")
    (pod.workspace / "link-to-folder").symlink_to("folder")
    (pod.workspace / "file").write_bytes(OTHER)
    before = names_in(pod.workspace)
    assert unpack(pod, files) == said
    assert names_in(pod.workspace) == before
    assert names_in(pod.outside) == []
    assert (pod.workspace / "file").read_bytes() == OTHER


@pytest.mark.parametrize("target", ["out", "out/new", "file", "dangling"])
def test_a_target_that_is_no_folder_of_the_workspace_is_refused(pod: Pod, target: str) -> None:
    (pod.workspace / "out").symlink_to(pod.outside)
    (pod.workspace / "dangling").symlink_to("nothing")
    (pod.workspace / "file").write_bytes(OTHER)
    expected = {"out": "!outside", "out/new": "!outside", "file": "!not-a-folder", "dangling": "!missing"}
    assert unpack(pod, {"a": DATA}, target) == expected[target]
    assert names_in(pod.outside) == []


def test_a_link_within_the_workspace_leads_where_it_says(pod: Pod) -> None:
    (pod.workspace / "real").mkdir()
    (pod.workspace / "link").symlink_to("real")
    assert unpack(pod, {"link/file": DATA, "link/new/file": DATA}) == "unpacked replaced"
    assert tree(pod.workspace / "real") == {"file": DATA, "new": None, "new/file": DATA}


def test_input_that_breaks_off_or_changes_anywhere_changes_nothing(pod: Pod) -> None:
    pod.fill([b"old"], OTHER)
    files = {"old": DATA, "folder/new": DATA, "large": LARGE}
    _, script = asyncio.run(script_of(tar_of(files)))
    ends = [0, 1, 3, 600, 4096, 9000, script.rindex(b"plan "), len(script) - 80, len(script) - 2]
    for broken in [script[:end] for end in ends] + [script[:5000] + b"?" + script[5001:]]:
        _, said = pod.run("unpack", "0123abcd", stdin=broken)
        assert said == b"!broken\n"
        assert tree(pod.workspace) == {"old": OTHER}
    faulty = script.replace(DATA[:1000], DATA[1:1001], 1)
    assert pod.run("unpack", "0123abcd", stdin=faulty)[1] == b"!broken\n"
    assert tree(pod.workspace) == {"old": OTHER}


def test_a_tar_that_is_refused_while_it_comes_changes_nothing(pod: Pod) -> None:
    data = tar_of({"good": DATA, "large": LARGE})
    for wrong in (data[:-20000], data[:300000], data[:7000], data + b"x"):
        _, script = asyncio.run(script_of(wrong))
        assert script.endswith(NO_PLAN)
        assert pod.run("unpack", "0123abcd", stdin=script)[1] == b"!broken\n"
    assert names_in(pod.workspace) == []


def test_a_script_that_is_ended_leaves_no_rest(pod: Pod) -> None:
    process = begun(pod)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert names_in(pod.workspace) == []


def begun(pod: Pod):  # type: ignore[no-untyped-def] # Popen
    """A script that has got some of its files."""
    _, script = asyncio.run(script_of(tar_of({"a/b": DATA, ".c": DATA, "a/-rf": DATA, "large": LARGE})))
    process = pod.start("unpack", "0123abcd")
    assert process.stdin is not None
    process.stdin.write(script[:300000])
    process.stdin.flush()
    wait_for_rest(pod)
    end = time.monotonic() + PATIENCE
    while not any(path.stat().st_size > 65536 for path in pod.workspace.rglob("large")):
        assert time.monotonic() < end
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("script", ["put", "list", "archive", "unpack"])
def test_what_a_killed_script_leaves_is_removed_by_the_next(pod: Pod, script: Script) -> None:
    process = begun(pod)
    if script == "list":
        pod.run("list")
        assert len(pod.rests) == 1  # it is being written
    process.kill()
    process.communicate(timeout=PATIENCE)
    kept = pod.workspace / "kept"
    kept.write_bytes(OTHER)
    assert len(pod.rests) == 1
    if script == "put":
        pod.put("other", DATA)
    elif script == "unpack":
        unpack(pod, {"other": DATA})
    else:
        pod.run(script)
    assert pod.rests == []
    assert kept.read_bytes() == OTHER


def test_links_in_what_a_killed_script_leaves_are_not_followed(pod: Pod) -> None:
    (pod.outside / "1").mkdir()
    (pod.outside / "file").write_bytes(OTHER)
    (pod.outside / "1/file").write_bytes(OTHER)
    rest = pod.workspace / ".gamgui-upload-999999999-ab"
    rest.mkdir()
    (rest / "0").mkdir()
    (rest / "0/link").symlink_to(pod.outside / "file")
    (rest / "1").symlink_to(pod.outside)
    (pod.workspace / ".gamgui-upload-999999999-cd").symlink_to(pod.outside)
    pod.run("list")
    assert names_in(pod.outside) == ["1", "file"]
    assert (pod.outside / "1/file").read_bytes() == OTHER
    assert not (rest / "0").exists()
    assert pod.rests in ([], [rest.name])  # with a link in it that nobody of ours has made


@pytest.mark.parametrize("pod", SEPARATE, ids=lambda tools: tools.name, indirect=True)
def test_what_the_pod_wrote_is_read_back(pod: Pod) -> None:
    tar = pod.outside / "tar"
    real = "/usr/bin/tar" if Path("/usr/bin/tar").exists() else "/bin/tar"
    tar.write_text(f'#!/bin/sh\n{real} "$@" && printf x | dd of=b bs=1 conv=notrunc 2>/dev/null\n')
    tar.chmod(0o755)
    pod.environment["PATH"] = f"{pod.outside}:{pod.environment['PATH']}"
    assert unpack(pod, {"a": DATA, "b": DATA}) == "!broken"
    assert names_in(pod.workspace) == []


@pytest.mark.parametrize("pod", SEPARATE, ids=lambda tools: tools.name, indirect=True)
def test_a_tar_that_cannot_leave_modes_alone_is_named(pod: Pod) -> None:
    tar = pod.outside / "tar"
    tar.write_text("#!/bin/sh\necho \"tar: unrecognized option '--no-same-permissions'\" >&2\nexit 1\n")
    tar.chmod(0o755)
    pod.environment["PATH"] = f"{pod.outside}:{pod.environment['PATH']}"
    assert unpack(pod, {"a": DATA}) == "!missing-tool tar --no-same-permissions"


def test_the_answer_has_the_hash_of_the_tar() -> None:
    data = tar_of({"a": DATA, "b/c": OTHER, "e": None})
    upload, script = asyncio.run(script_of(data, piece=77))
    seal = script.rpartition(b"plan ")[2][:64].decode()
    done = upload.result(["unpacked", "created", seal])
    assert (done.files, done.folders, done.size) == (2, 2, len(DATA) + len(OTHER))
    assert done.sha256 == hashlib.sha256(data).hexdigest()
