"""exec beyond the recordings: flow control, many at once, clients that leave."""

import asyncio
import os
import resource
from pathlib import Path

import aiohttp
import pytest

from .client import DEADLINE_S, V4, Client, exec_path, pod_manifest, session_manifest

_MIB = 1024 * 1024


@pytest.fixture
async def pod(client: Client, runtime: str) -> Client:
    await client.create("/api/v1/namespaces/rec/pods", pod_manifest("ex"))
    await client.ready("ex")
    return client


async def test_large_binary_streams_pass_unchanged_both_ways(pod: Client) -> None:
    content = os.urandom(8 * _MIB)
    session = await pod.exec("ex", "cat", stdin=content)
    assert session.stdout == content
    assert session.exit_code == 0


async def test_a_client_that_does_not_read_slows_the_process(client: Client, tmp_path: Path) -> None:
    await client.create("/api/v1/namespaces/rec/pods", session_manifest("slow", "sleep 3600"))
    await client.ready("slow")
    command = "i=0; while head -c 1048576 /dev/zero; do i=$((i+1)); echo $i >/workspace/count; done"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with client.connect(exec_path("slow", "sh", "-c", command)) as socket:
        await socket.receive_bytes(timeout=DEADLINE_S)
        # The process has to come to a halt by itself: the same count twice in a row.
        counts = [b"", b"-"]
        async with asyncio.timeout(DEADLINE_S):
            while counts[-1] != counts[-2]:
                shown = await client.exec("slow", "sh", "-c", "sleep 0.2; cat /workspace/count")
                counts.append(shown.stdout)
        assert 0 < int(counts[-1]) < 64
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 64 * 1024


async def test_a_process_that_does_not_read_slows_the_client(pod: Client) -> None:
    path = exec_path("ex", "sleep", "3600", stdin=True)
    async with pod.connect(path) as socket:
        sent = 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                while sent < 256 * _MIB:
                    await socket.send_bytes(b"\0" + bytes(32768))
                    sent += 32768
        assert sent < 64 * _MIB
        socket._response.close()


async def test_two_hundred_at_once(pod: Client) -> None:
    results = await asyncio.gather(*(pod.exec("ex", "sh", "-c", f"sleep 0.5; echo {n}") for n in range(200)))
    assert [session.stdout for session in results] == [b"%d\n" % n for n in range(200)]
    assert all(session.exit_code == 0 for session in results)


async def test_post_upgrades_as_get_does(pod: Client) -> None:
    session = await pod.exec("ex", "echo", "hello", method="POST", protocols=(V4,))
    assert session.frames[:2] == [b"\x01", b"\x01hello\n"]


async def test_a_client_that_leaves_ends_stdin_and_breaks_stdout(client: Client) -> None:
    await client.create("/api/v1/namespaces/rec/pods", session_manifest("left", "sleep 3600"))
    await client.ready("left")
    # Which of the two comes first nobody promises: a line may still be taken when stdin has ended.
    script = "trap '' PIPE; echo started; cat; while echo on; do sleep 0.05; done; echo end >/workspace/end"
    async with client.connect(exec_path("left", "sh", "-c", script, stdin=True)) as socket:
        assert await socket.receive_bytes(timeout=DEADLINE_S) == b"\x01"
        assert await socket.receive_bytes(timeout=DEADLINE_S) == b"\x01started\n"
    wait = "until [ -s /workspace/end ]; do sleep 0.05; done"
    assert (await client.exec("left", "timeout", "300", "sh", "-c", wait)).exit_code == 0


async def test_output_of_a_background_process_is_waited_for(pod: Client) -> None:
    session = await pod.exec("ex", "sh", "-c", "(sleep 0.3; echo late) & echo early")
    assert session.stdout == b"early\nlate\n"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("stdout=true", "you must specify at least one command for the container"),
        ("command=true", "you must specify at least 1 of stdin, stdout, stderr"),
        ("command=true&tty=true&stderr=true", "tty and stderr cannot both be true"),
        ("command=true&stdout=true", "Upgrade request required"),
    ],
)
async def test_requests_that_make_no_sense_are_400(client: Client, query: str, message: str) -> None:
    await client.create("/api/v1/namespaces/rec/pods", pod_manifest("ex"))
    answer = await client.request("GET", f"/api/v1/namespaces/rec/pods/ex/exec?{query}")
    assert (answer.status, answer.body["message"]) == (400, message)


async def test_nonsense_frames_are_ignored(pod: Client) -> None:
    async with pod.connect(exec_path("ex", "cat", stdin=True)) as socket:
        for frame in (
            b"",
            b"\x04not json",
            b'\x04{"Width":-1,"Height":99999999}',
            b"\x09?",
            b"\xff",
            b"\xff\x07",
        ):
            await socket.send_bytes(frame)
        await socket.send_str("text")
        await socket.send_bytes(b"\0fine\n")
        await socket.send_bytes(b"\xff\0")
        frames = [message.data async for message in socket if message.type is aiohttp.WSMsgType.BINARY]
    assert b"\x01fine\n" in frames


async def test_input_that_is_sent_as_text_is_input(pod: Client) -> None:
    """The official client sends a string so."""
    async with pod.connect(exec_path("ex", "cat", stdin=True)) as socket:
        await socket.send_str("\0fünf\n")
        await socket.send_bytes(b"\xff\0")
        frames = [message.data async for message in socket if message.type is aiohttp.WSMsgType.BINARY]
    assert "\x01fünf\n".encode() in frames


def _open_descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


async def test_no_descriptor_is_left_open(pod: Client) -> None:
    await pod.exec("ex", "true")
    before = _open_descriptors()
    for _ in range(10):
        await pod.exec("ex", "true", stdin=b"x")
        await pod.exec("ex", "no-such-command")
    assert _open_descriptors() <= before + 2
