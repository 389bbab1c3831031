"""What must be true of files on any cluster."""

from __future__ import annotations

import asyncio
import hashlib
import io
import random
import re
import tarfile
from collections.abc import AsyncIterator

import aiohttp
import pytest

from shared.kube.api.client import KubeApi
from shared.reasons import Reason
from tests.contract.test_sessions import pod_path
from tests.support.client import Client, Json
from tests.support.files_client import Files, digest_of, in_pieces
from tests.support.patience import PATIENCE
from tests.support.proofs import times
from tests.support.tars import entry, tar_of, tar_with

EVERY_BYTE = bytes(range(256)) * 33 + b"\r\n\x00"
MIB = 1024 * 1024
MANY = times(1000, 200)
OLD = b"what was there before"


@pytest.fixture
async def files(client: Client, session: Json) -> AsyncIterator[Files]:
    yield Files(client, session)


async def breaking_off(data: bytes, at: int) -> AsyncIterator[bytes]:
    async for piece in in_pieces(data[:at]):
        yield piece
    raise ConnectionResetError("the test breaks off here")


async def no_rest(files: Files) -> None:
    """Waits until no unfinished upload is left; the script that wrote it is ended soon after its caller."""
    async with asyncio.timeout(PATIENCE):
        while (await files.sh("find . -name '.gamgui-upload-*'")).strip():
            await asyncio.sleep(0.1)


# Whole files.


@pytest.mark.parametrize(
    "data", [b"", b"x", EVERY_BYTE, EVERY_BYTE * 124], ids=["0", "1", "every byte", "1 MiB"]
)
async def test_a_file_comes_back_as_it_went(files: Files, data: bytes) -> None:
    sha256 = hashlib.sha256(data).hexdigest()
    path = "some/new folder/file.bin"
    stored = await files.put(path, data)
    assert (stored.status, stored.json) == (201, {"path": path, "size": len(data), "sha256": sha256})
    assert (await files.sh(f"sha256sum <'{path}'")).split()[0] == sha256
    read = await files.get(path)
    assert (read.status, read.body) == (200, data)
    assert read.headers["content-length"] == str(len(data))
    assert read.headers["content-digest"] == digest_of(data)
    assert read.headers["content-type"] == "application/octet-stream"
    assert (await files.put(path, OLD)).status == 200
    assert (await files.call("DELETE", path)).status == 204
    assert (await files.get(path)).json["reason"] == Reason.FILE_NOT_FOUND
    assert (await files.call("DELETE", path)).json["reason"] == Reason.FILE_NOT_FOUND


NAMES = [
    *("-rf", "--help", " lead and trail ", "a'b\"c", "$(id)`id`$HOME", "*", "?[x]", "ä€😀", "tab\there"),
    *("%2F", "%00", "a%b", "back\\slash", "~", "#?;&=+", "..dots", "...", "x" * 255),
]


async def test_a_name_is_only_a_name(files: Files) -> None:
    for number, name in enumerate(NAMES):
        stored = await files.put(f"{name}/{name}", b"%d" % number)
        assert (stored.status, stored.json["path"]) == (201, f"{name}/{name}")
    for number, name in enumerate(NAMES):
        assert (await files.get(f"{name}/{name}")).body == b"%d" % number
    listed = await files.call("GET", "", query="?list=true")
    assert {entry["name"] for entry in listed.json["entries"]} == set(NAMES)
    for name in NAMES:
        assert (await files.call("DELETE", f"{name}/{name}")).status == 204
        assert (await files.call("DELETE", name)).status == 204
    assert await files.sh("ls -A") == ""


@pytest.mark.parametrize(
    "path",
    [
        *("../x", "a/../../x", "..", ".", "a/./x", "%2e%2e/x", "%2E./x", "/etc/passwd", "a//x", "a/", ""),
        *("a%2Fx", "..%2F..%2Fetc%2Fpasswd", "a%00x", "a%0Ax", "%FF", "%C0%AF", "%zz", "%", "%4"),
        *(".gamgui-upload-1-x", "x" * 256, "/".join(["x" * 200] * 21)),
    ],
)
async def test_a_path_that_no_file_of_the_workspace_has_is_refused(files: Files, path: str) -> None:
    stored = await files.call("PUT", path, b"x", encoded=True)
    assert (stored.status, stored.json["reason"]) == (400, "INVALID_PATH")
    assert await files.sh("ls -A") == ""


async def test_a_link_that_leads_out_is_refused_and_one_within_is_followed(files: Files) -> None:
    await files.sh("mkdir in; echo inner >in/file; ln -s in near; ln -s /tmp out; ln -s /etc/passwd passwd")
    await files.sh("echo outer >/tmp/file")
    assert (await files.get("near/file")).body == b"inner\n"
    for answer in (
        await files.get("out/file"),
        await files.get("passwd"),
        await files.put("out/new", b"x"),
        await files.call("DELETE", "out/file"),
        await files.call("GET", "out", query="?list=true"),
        await files.call("GET", "out", Accept="application/x-tar"),
    ):
        assert (answer.status, answer.json["reason"]) == (403, "PATH_OUTSIDE_WORKSPACE")
    assert await files.sh("cat /tmp/file; ls -A /tmp/new 2>/dev/null || :") == "outer\n"


async def test_what_is_in_the_way_is_named(files: Files) -> None:
    await files.sh("mkdir folder; touch folder/file; mkfifo pipe")
    for answer, reason in (
        (await files.get("folder"), "NOT_A_FILE"),
        (await files.get("pipe"), "NOT_A_FILE"),
        (await files.put("folder", b"x"), "NOT_A_FILE"),
        (await files.put("folder/file/x", b"x"), "NOT_A_FOLDER"),
        (await files.call("GET", "folder/file", query="?list=true"), "NOT_A_FOLDER"),
        (await files.call("DELETE", "folder"), "FOLDER_NOT_EMPTY"),
    ):
        assert (answer.status, answer.json["reason"]) == (409, reason)


async def test_permissions_in_the_pod_are_told_as_such(files: Files) -> None:
    await files.sh("mkdir locked; echo x >locked/file; chmod 0 locked/file; chmod 500 locked")
    await files.sh("mkdir -m 0 shut")
    for answer in (
        await files.get("locked/file"),
        await files.put("locked/new", b"x"),
        await files.put("shut/new", b"x"),
        await files.call("GET", "shut", query="?list=true"),
    ):
        assert (answer.status, answer.json["reason"]) == (403, "FILE_ACCESS_DENIED")


async def test_others_have_no_way_to_a_sessions_files(files: Files) -> None:
    await files.put("file", b"mine")
    theirs = Files(files.client.as_user("somebody-else@example.com"), files.session)
    for method in ("PUT", "GET", "DELETE"):
        answer = await theirs.call(method, "file")
        assert (answer.status, answer.json["reason"]) == (404, "SESSION_NOT_FOUND")
    assert (await files.get("file")).body == b"mine"


async def test_a_wrong_digest_stores_nothing(files: Files) -> None:
    await files.put("file", OLD)
    wrong = await files.put("file", b"new", Content_Digest=digest_of(b"other"))
    assert (wrong.status, wrong.json["reason"]) == (400, "DIGEST_MISMATCH")
    assert (await files.get("file")).body == OLD
    assert (await files.put("file", b"new", Content_Digest=digest_of(b"new"))).status == 200
    await no_rest(files)


# Parts and conditions.


async def test_ranges_and_conditions(files: Files) -> None:
    await files.put("file", EVERY_BYTE)
    whole = await files.get("file")
    tag, size = whole.headers["etag"], len(EVERY_BYTE)
    part = await files.get("file", Range="bytes=100-299")
    assert (part.status, part.body) == (206, EVERY_BYTE[100:300])
    assert part.headers["content-range"] == f"bytes 100-299/{size}"
    assert part.headers["content-digest"] == digest_of(EVERY_BYTE[100:300])
    assert part.headers["etag"] == tag
    assert (await files.get("file", Range="bytes=-5")).body == EVERY_BYTE[-5:]
    assert (await files.get("file", Range=f"bytes={size - 3}-")).body == EVERY_BYTE[-3:]
    assert (await files.get("file", Range="bytes=0-1,5-6")).body == EVERY_BYTE
    beyond = await files.get("file", Range=f"bytes={size}-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    same = await files.get("file", If_None_Match=f'"other", {tag}')
    assert (same.status, same.body, same.headers["etag"]) == (304, b"", tag)
    head = await files.call("HEAD", "file")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(size))
    assert head.headers["etag"] == tag
    await files.put("file", EVERY_BYTE)
    assert (await files.get("file", If_None_Match=tag)).status == 200
    assert (await files.get("file", Range="bytes=0-1", If_Range=tag)).status == 200
    fresh = (await files.call("HEAD", "file")).headers["etag"]
    assert (await files.get("file", Range="bytes=0-1", If_Range=fresh)).status == 206


async def test_a_file_that_changes_while_it_is_read_is_a_broken_transfer(files: Files) -> None:
    await files.sh("dd if=/dev/zero of=file bs=1M count=64 2>/dev/null")
    async with files.open("file") as response:
        assert response.status == 200
        await response.content.readexactly(1000)
        await files.sh("printf x | dd of=file conv=notrunc bs=1 seek=67000000 2>/dev/null")
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_a_file_that_becomes_shorter_while_it_is_read_is_a_broken_transfer(files: Files) -> None:
    await files.sh("dd if=/dev/zero of=file bs=1M count=64 2>/dev/null")
    async with files.open("file") as response:
        await response.content.readexactly(1000)
        await files.sh(": >file")
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_a_file_that_grows_is_sent_up_to_its_size_at_the_start(files: Files) -> None:
    await files.sh("dd if=/dev/zero of=file bs=1M count=64 2>/dev/null")
    async with files.open("file") as response:
        await response.content.readexactly(1000)
        await files.sh("echo more >>file")
        assert len(await response.read()) == 64 * 1024 * 1024 - 1000


async def test_what_is_written_on_and_on_can_be_fetched_and_its_parts_too(files: Files) -> None:
    await files.sh("echo Email,Name >file; : >go")
    writing = asyncio.create_task(files.sh("while [ -e go ]; do echo a@example.com,A >>file; done"))
    async with asyncio.timeout(PATIENCE):
        while int((await files.call("HEAD", "file")).headers["content-length"]) < 1000:
            await asyncio.sleep(0.05)
    for _ in range(10):
        whole = await files.get("file")
        part = await files.get("file", Range="bytes=6-999")
        last = await files.get("file", Range="bytes=-16")
        assert (whole.status, part.status, last.status) == (200, 206, 206)
        assert len(whole.body) == int(whole.headers["content-length"])
        assert whole.headers["content-digest"] == digest_of(whole.body)
        assert part.body == whole.body[6:1000]
        assert len(last.body) == 16
    await files.call("DELETE", "go")
    await writing


async def test_a_tar_goes_on_past_what_cannot_be_read_and_lists_it_at_its_end(files: Files) -> None:
    await files.sh(
        "mkdir -p a/shut; cd a; for i in 1 2 3 4 5; do echo $i >f$i; done; echo old >GAMGUI-INCOMPLETE.txt"
    )
    await files.sh("cd a; chmod 0 f3; echo x >shut/x; chmod 0 shut")
    answer = await files.call("GET", "a/", Accept="application/x-tar")
    await files.sh("chmod 700 a/shut a/f3")
    assert answer.status == 200
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as tar:
        members = [member for member in tar if member.isfile()]
        found = {member.name: (tar.extractfile(member) or io.BytesIO()).read() for member in members}
    assert members[-1].name == "./GAMGUI-INCOMPLETE.txt"
    said = found.pop("./GAMGUI-INCOMPLETE.txt").decode()
    assert found == {f"./f{number}": f"{number}\n".encode() for number in (1, 2, 4, 5)}
    assert "f3" in said
    assert "shut" in said
    assert said.splitlines()[-1].startswith("tar ended with ")
    _, audit, _ = await files.client.call("GET", f"/v1/sessions/{files.session['id']}/audit")
    [outcome] = [
        record["outcome"] for record in audit["records"] if record["action"] == "session.file.archive"
    ]
    assert outcome == "incomplete"
    whole = await files.call("GET", "a/", Accept="application/x-tar")
    with tarfile.open(fileobj=io.BytesIO(whole.body)) as tar:
        assert {member.name for member in tar if member.isfile()} == {
            *(f"./f{number}" for number in range(1, 6)),
            "./shut/x",
        }


async def test_a_reader_that_goes_away_leaves_no_process(files: Files) -> None:
    await files.sh("dd if=/dev/zero of=file bs=1M count=64 2>/dev/null")
    async with files.open("file") as response:
        await response.content.readexactly(1000)
    async with asyncio.timeout(PATIENCE):
        while "gamgui-read" in await files.sh("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | cat"):
            await asyncio.sleep(0.1)


# Interruptions, and more than one writer.


async def test_an_upload_that_dies_leaves_the_old_file_and_no_rest(files: Files) -> None:
    chance = random.Random(20260301)
    data = chance.randbytes(3 * MIB)
    await files.put("file", OLD)
    for _ in range(5):
        with pytest.raises(aiohttp.ClientError):
            await files.put("file", breaking_off(data, chance.randrange(len(data))))
        assert (await files.get("file")).body == OLD
    await no_rest(files)
    assert await files.sh("ls -A") == "file\n"


async def test_an_upload_in_pieces_goes_on_wherever_it_was_interrupted(files: Files) -> None:
    chance = random.Random(20260302)
    data = chance.randbytes(3 * MIB)
    upload = {"Upload_Id": "one", "Repr_Digest": digest_of(data)}
    await files.put("file", OLD)
    at, interruptions = 0, 0
    while True:
        last = min(at + chance.randrange(1, MIB), len(data)) - 1
        where = f"bytes {at}-{last}/{len(data)}"
        piece = data[at : last + 1]
        if chance.random() < 0.4:
            interruptions += 1
            with pytest.raises(aiohttp.ClientError):
                await files.put("file", breaking_off(piece, len(piece) // 2), Content_Range=where, **upload)
            asked = await files.put("file", b"", Content_Range=f"bytes */{len(data)}", **upload)
            assert (asked.status, asked.next_byte) == (308, at)
            continue
        answer = await files.put("file", piece, Content_Range=where, **upload)
        at = last + 1
        if at == len(data):
            break
        assert (answer.status, answer.next_byte) == (308, at)
        assert (await files.get("file")).body == OLD
    assert interruptions > 2
    sha256 = hashlib.sha256(data).hexdigest()
    assert (answer.status, answer.json) == (200, {"path": "file", "size": len(data), "sha256": sha256})
    assert (await files.get("file")).body == data
    await no_rest(files)


async def test_a_piece_out_of_place_says_where_to_go_on(files: Files) -> None:
    data = EVERY_BYTE
    first = await files.put("file", data[:1000], Content_Range=f"bytes 0-999/{len(data)}", Upload_Id="a")
    assert (first.status, first.headers["range"]) == (308, "bytes=0-999")
    for begin in (0, 2000):
        where = f"bytes {begin}-{begin + 99}/{len(data)}"
        again = await files.put("file", data[begin : begin + 100], Content_Range=where, Upload_Id="a")
        assert (again.status, again.headers["range"]) == (308, "bytes=0-999")
    other = await files.put("file", b"", Content_Range=f"bytes */{len(data)}", Upload_Id="b")
    assert (other.status, other.headers.get("range")) == (308, None)
    wrong = await files.put(
        "file",
        data[1000:],
        Content_Range=f"bytes 1000-{len(data) - 1}/{len(data)}",
        Upload_Id="a",
        Repr_Digest=digest_of(b"another"),
    )
    assert (wrong.status, wrong.json["reason"]) == (400, "DIGEST_MISMATCH")
    assert (await files.get("file")).status == 404


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"Content_Range": "bytes 0-1/4"}, "MISSING_FIELD"),
        ({"Content_Range": "bytes 0-1/4", "Upload_Id": "a b"}, "INVALID_FIELD"),
        ({"Content_Range": "bytes 0-2/4", "Upload_Id": "a"}, "INVALID_FIELD"),
        ({"Content_Range": "bytes 0-0/4", "Upload_Id": "a"}, "INVALID_FIELD"),
        ({"Content_Range": "bytes 1-0/4", "Upload_Id": "a"}, "INVALID_FIELD"),
        ({"Content_Range": "bytes 0-1/1", "Upload_Id": "a"}, "INVALID_FIELD"),
        ({"Content_Digest": "sha-256=:AAAA:"}, "INVALID_FIELD"),
    ],
)
async def test_headers_that_make_no_sense_are_refused(
    files: Files, headers: dict[str, str], reason: str
) -> None:
    answer = await files.put("file", b"ab", **headers)
    assert (answer.status, answer.json["reason"]) == (400, reason)
    assert await files.sh("ls -A") == ""


async def test_requests_that_files_do_not_take(files: Files) -> None:
    for answer, status, reason in (
        (await files.put("file", b"x", Content_Encoding="gzip"), 415, "UNSUPPORTED_MEDIA_TYPE"),
        (await files.call("PUT", "file", b"x", query="?overwrite=true"), 400, "UNKNOWN_FIELD"),
        (await files.call("GET", "", query="?list=yes"), 400, "INVALID_FIELD"),
        (await files.call("GET", "", query="?list=true&page_size=0"), 400, "INVALID_FIELD"),
        (await files.call("GET", "", query="?list=true&page_token=%C3%A4"), 400, "INVALID_FIELD"),
        (await files.call("DELETE", ""), 400, "INVALID_PATH"),
        (await files.call("POST", "file", b"x"), 405, "METHOD_NOT_ALLOWED"),
    ):
        assert (answer.status, answer.json["reason"]) == (status, reason)


async def test_of_two_writers_of_one_path_one_wins_as_a_whole(files: Files) -> None:
    ours, theirs = (bytes([number]) * (2 * MIB) for number in (1, 2))
    for _ in range(3):
        answers = await asyncio.gather(
            files.put("file", in_pieces(ours)), files.put("file", in_pieces(theirs))
        )
        assert {answer.status for answer in answers} <= {200, 201}
        assert (await files.get("file")).body in (ours, theirs)
    half = MIB
    for begin in (0, half):
        where = f"bytes {begin}-{begin + half - 1}/{2 * half}"
        answers = await asyncio.gather(
            files.put("both", ours[begin : begin + half], Content_Range=where, Upload_Id="ours"),
            files.put("both", theirs[begin : begin + half], Content_Range=where, Upload_Id="theirs"),
        )
        assert {answer.status for answer in answers} <= ({308} if begin == 0 else {200, 201}), answers
    assert (await files.get("both")).body in (ours, theirs)
    await no_rest(files)


async def test_a_reader_never_sees_half_a_file(files: Files) -> None:
    versions = [bytes([number]) * MIB for number in range(1, 6)]
    await files.put("file", versions[0])
    writing = asyncio.create_task(_write_all(files, versions))
    seen = 0
    while not writing.done():
        assert (await files.get("file")).body in versions
        seen += 1
    await writing
    assert seen > 0


async def _write_all(files: Files, versions: list[bytes]) -> None:
    for version in versions:
        await files.put("file", in_pieces(version))


async def test_a_pod_that_is_killed_in_the_middle_is_no_success(client: Client, kube: KubeApi) -> None:
    session = await client.create()
    files = Files(client, session)
    await files.sh("dd if=/dev/zero of=big bs=1M count=200 2>/dev/null")
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536
            begun.set()
            await asyncio.sleep(0.01)

    uploading = asyncio.create_task(files.put("file", endless()))
    await begun.wait()
    async with files.open("big") as response:
        await response.content.readexactly(1000)
        await kube.request("DELETE", pod_path(session), body={"gracePeriodSeconds": 0})
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    try:
        answer = await uploading
    except aiohttp.ClientError:
        answer = None  # the server may close the connection before it has taken all
    assert answer is None or answer.json["reason"] in ("POD_NOT_RUNNING", "TRANSFER_FAILED")
    assert (await files.get("file")).status in (404, 409)
    await client.delete(session)


# Folders.


async def test_a_folder_is_listed_in_pages(files: Files) -> None:
    await files.sh("mkdir -p a/b; cd a; for i in 1 2 3 4 5 6 7 8 9; do echo $i >f$i; done")
    await files.sh("cd a; ln -s f1 link; chmod 600 f2")
    got: list[Json] = []
    token = ""
    while True:
        page = (await files.call("GET", "a/", query=f"?list=true&page_size=4&page_token={token}")).json
        got += page["entries"]
        token = page.get("next_page_token", "")
        if not token:
            break
    assert [entry["name"] for entry in got] == ["b", *(f"f{number}" for number in range(1, 10)), "link"]
    assert [entry["type"] for entry in got] == ["directory", *["file"] * 9, "symlink"]
    assert (got[1]["size"], got[2]["mode"]) == (2, "0600")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", got[1]["modified_at"])


async def test_names_that_have_no_path_here_are_listed_all_the_same(files: Files) -> None:
    await files.sh("printf x >\"$(printf 'line\\nbreak')\"; printf x >\"$(printf 'b\\377d')\"")
    entries = (await files.call("GET", "", query="?list=true")).json["entries"]
    assert [entry.get("name", entry.get("name_base64")) for entry in entries] == ["Yv9k", "line\nbreak"]


@pytest.mark.timeout(300)
async def test_many_small_files_go_up_are_listed_and_come_back_as_one_tar(client: Client) -> None:
    # A script for each is nothing for the sliver of a processor that other tests do with.
    session = await client.create(resources={"cpu": "500m"})
    files = Files(client, session)
    chance = random.Random(20260303)
    content = {f"folder/{number % 10}/file {number}": chance.randbytes(4096) for number in range(MANY)}
    turns = asyncio.Semaphore(16)

    async def put(path: str, data: bytes) -> None:
        async with turns:
            assert (await files.put(path, data)).status == 201

    await asyncio.gather(*(put(path, data) for path, data in content.items()))
    listed = (await files.call("GET", "folder/3/", query="?list=true&page_size=1000")).json
    assert len(listed["entries"]) == MANY // 10
    packed = await files.call("GET", "folder/", Accept="application/x-tar")
    assert (packed.status, packed.headers["content-type"]) == (200, "application/x-tar")
    with tarfile.open(fileobj=io.BytesIO(packed.body)) as tar:
        members = {member.name: tar.extractfile(member) for member in tar if member.isfile()}
        read = {name.removeprefix("./"): file.read() for name, file in members.items() if file}
    unpacked = {f"folder/{name}": data for name, data in read.items()}
    assert unpacked == content
    await no_rest(files)
    await client.delete(session)


async def test_many_small_files_go_up_as_one_tar_and_come_back_as_one(files: Files) -> None:
    chance = random.Random(20260304)
    content = {f"{number % 10}/file {number}": chance.randbytes(4096) for number in range(MANY)}
    data = tar_of(content)
    unpacked = await files.unpack("some/folder/", in_pieces(data), Content_Digest=digest_of(data))
    assert (unpacked.status, unpacked.json) == (
        201,
        {
            "path": "some/folder",
            "files": MANY,
            "folders": 10,
            "size": 4096 * MANY,
            "sha256": hashlib.sha256(data).hexdigest(),
        },
    )
    packed = await files.call("GET", "some/folder/", Accept="application/x-tar")
    with tarfile.open(fileobj=io.BytesIO(packed.body)) as tar:
        members = {member.name: tar.extractfile(member) for member in tar if member.isfile()}
    assert {name.removeprefix("./"): file.read() for name, file in members.items() if file} == content
    assert (await files.unpack("some/folder/", data)).status == 200
    await no_rest(files)


async def test_a_tar_replaces_files_of_its_names_and_leaves_others(files: Files) -> None:
    await files.put("folder/stays", OLD)
    await files.put("folder/old", OLD)
    content = {"folder/old": b"new", "folder/large": EVERY_BYTE * 124, "folder/-": b"", "folder/empty": None}
    unpacked = await files.unpack("", tar_of(content))
    assert (unpacked.status, unpacked.json["path"], unpacked.json["folders"]) == (200, "", 2)
    assert (await files.get("folder/stays")).body == OLD
    assert (await files.get("folder/old")).body == b"new"
    assert (await files.get("folder/large")).body == EVERY_BYTE * 124
    assert await files.sh("ls -A folder folder/empty") == (
        "folder:\n-\nempty\nlarge\nold\nstays\n\nfolder/empty:\n"
    )


async def test_a_tar_that_is_refused_changes_nothing(files: Files) -> None:
    await files.put("folder/file", OLD)
    await files.sh("mkdir folder/sub; ln -s /tmp folder/out")
    good = tar_of({"file": b"new", "more": EVERY_BYTE * 60})
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    for data, headers, status, reason in (
        (good[:300_000], {}, 400, "TAR_INVALID"),
        (b"not a tar" * 100, {}, 400, "TAR_INVALID"),
        (tar_with([entry("file", b"new"), (link, b"")]), {}, 400, "TAR_INVALID"),
        (tar_of({"file": b"new", "../up": b"x"}), {}, 400, "TAR_INVALID"),
        (good, {"Content_Digest": digest_of(b"another")}, 400, "DIGEST_MISMATCH"),
        (good, {"Content_Range": "bytes 0-9/10", "Upload_Id": "a"}, 400, "INVALID_FIELD"),
        (good, {"Content_Encoding": "gzip"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        (tar_of({"file": b"new", "sub": b"x"}), {}, 409, "NOT_A_FILE"),
        (tar_of({"sub/x": b"new", "file/x": b"x"}), {}, 409, "NOT_A_FOLDER"),
        (tar_of({"file": b"new", "out/x": b"x"}), {}, 403, "PATH_OUTSIDE_WORKSPACE"),
    ):
        answer = await files.unpack("folder/", data, **headers)
        assert (answer.status, answer.json["reason"]) == (status, reason)
        assert (await files.get("folder/file")).body == OLD
    assert await files.sh("ls -A folder folder/sub") == "folder:\nfile\nout\nsub\n\nfolder/sub:\n"
    assert (await files.put("folder/", good)).json["reason"] == Reason.INVALID_PATH


async def test_a_tar_that_breaks_off_leaves_no_rest(files: Files) -> None:
    data = tar_of({"a/b": EVERY_BYTE, "c": EVERY_BYTE * 500, "d": EVERY_BYTE})
    for at in (1000, 20_000, len(data) // 2, len(data) - 100_000):
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await files.unpack("", breaking_off(data, at))
    async with asyncio.timeout(PATIENCE):  # a script whose caller is gone may not even have begun
        while await files.sh("ls -A"):
            await asyncio.sleep(0.1)


async def test_a_file_whose_path_has_no_slash_may_be_a_tar(files: Files) -> None:
    data = tar_of({"a": b"x"})
    stored = await files.unpack("archive.tar", data)
    assert (stored.status, stored.json["size"]) == (201, len(data))
    assert (await files.get("archive.tar")).body == data
