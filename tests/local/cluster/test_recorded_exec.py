"""exec, frame by frame, against the recordings of a real cluster."""

import asyncio
import base64
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import pytest

from .client import DEADLINE_S, V5, Client, Session, exec_path, pod_manifest

Recording = Callable[[str], list[dict[str, Any]]]
_BASIC = (
    "stdout and success",
    "both streams, exit code 3",
    "killed by SIGKILL: 137",
    "the command does not exist",
    "one UTF-8 character split over two frames",
    "no output",
    "the same with v4.channel.k8s.io",
    "client offers v5 and v4",
)


@pytest.fixture
async def pods(client: Client, runtime: str) -> Client:
    """The pods of the recordings: one that runs, one without image, one that is done."""
    path = "/api/v1/namespaces/rec/pods"
    await client.create(path, pod_manifest("ex"))
    await client.create(path, pod_manifest("pend", container={"image": "localhost/none:2"}))
    await client.create(path, pod_manifest("done", "true"))
    await client.ready("ex")
    await client.pod_until("done", lambda pod: pod["status"]["phase"] == "Succeeded")
    await client.pod_until("pend", lambda pod: "NeverPull" in str(pod["status"].get("containerStatuses")))
    return client


def _step(steps: list[dict[str, Any]], note: str) -> dict[str, Any]:
    return next(step for step in steps if step["note"] == note)


def _frames(step: dict[str, Any], sender: str) -> list[bytes]:
    return [base64.b64decode(frame["base64"]) for frame in step["frames"] if frame["from"] == sender]


def _normal(frame: bytes) -> Any:
    if frame[0] != 3:
        return frame
    return json.loads(re.sub(rb"[0-9a-f]{64}", b"DIGEST", frame[1:]))


async def _replay(client: Client, step: dict[str, Any], *, send: Sequence[bytes] = ()) -> Session:
    session = Session()
    path, protocols = step["request"]["path"], tuple(step["request"]["subprotocols"])
    async with asyncio.timeout(DEADLINE_S), client.connect(path, protocols=protocols) as socket:
        session.subprotocol = socket.protocol
        for frame in send:
            await socket.send_bytes(frame)
        async for message in socket:
            assert message.type is aiohttp.WSMsgType.BINARY
            session.frames.append(message.data)
    return session


@pytest.mark.parametrize("note", _BASIC)
async def test_frames_are_as_recorded(pods: Client, recording: Recording, note: str) -> None:
    step = _step(recording("exec-basic"), note)
    session = await _replay(pods, step)
    assert session.subprotocol == step["response"]["subprotocol"]
    ours, recorded = map(_normal, session.frames), map(_normal, _frames(step, "server"))
    # The two output streams are not ordered among each other.
    assert sorted(ours, key=repr) == sorted(recorded, key=repr)
    assert session.frames[0] == b"\x01"
    assert session.frames[-1][0] == 3


async def test_half_a_megabyte_comes_in_frames_of_at_most_32_kib(pods: Client, recording: Recording) -> None:
    step = _step(recording("exec-basic"), "512 KiB of output: frame sizes")
    session = await _replay(pods, step)
    largest = max(frame["bytes"] for frame in step["frames"])
    assert max(map(len, session.frames)) == largest == 32769
    assert session.stdout == bytes(512 * 1024)
    assert session.exit_code == 0


async def test_no_known_subprotocol_is_403(pods: Client, recording: Recording) -> None:
    step = _step(recording("exec-basic"), "client offers no known subprotocol")
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await _replay(pods, step)
    assert caught.value.status == step["response"]["status"]
    assert caught.value.headers is not None
    assert caught.value.headers["Connection"] == "close"


@pytest.mark.parametrize("number", [0, 2, 3])
async def test_stdin_over_v5_is_as_recorded(pods: Client, recording: Recording, number: int) -> None:
    step = recording("exec-stdin")[number]
    sent = [
        frame if len(frame) == part["bytes"] else frame[:2] + frame[1:2] * (part["bytes"] - 2)
        for frame, part in zip(_frames(step, "client"), step["frames"], strict=False)
    ]
    session = await _replay(pods, step, send=sent)
    assert session.stdout == b"".join(frame[1:] for frame in _frames(step, "server") if frame[0] == 1)
    assert session.exit_code == 0


async def test_v4_cannot_end_stdin(pods: Client, recording: Recording) -> None:
    step = recording("exec-stdin")[1]
    path, protocols = step["request"]["path"], tuple(step["request"]["subprotocols"])
    async with pods.connect(path, protocols=protocols) as socket:
        await socket.send_bytes(b"\0hello\n")
        received = b""
        while not received.endswith(b"hello\n"):
            received += (await socket.receive_bytes(timeout=DEADLINE_S))[1:]
        await socket.send_bytes(b"\xff\0")
        await socket.send_bytes(b"\0more\n")
        assert await socket.receive_bytes(timeout=DEADLINE_S) == b"\x01more\n"


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_errors_before_the_upgrade_are_as_recorded(
    pods: Client, recording: Recording, number: int
) -> None:
    step = recording("exec-errors")[number]
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Protocol": V5}
    headers |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    answer = await pods.request("GET", step["request"]["path"], headers=headers)
    recorded = step["response"]
    assert (answer.status, answer.content_type) == (recorded["status"], recorded["headers"]["content-type"])
    assert answer.body == recorded["body"]


async def test_a_finished_pod_upgrades_then_fails_as_recorded(pods: Client, recording: Recording) -> None:
    step = _step(recording("exec-errors"), "the pod has finished (phase Succeeded)")
    session = await _replay(pods, step)
    assert list(map(_normal, session.frames)) == list(map(_normal, _frames(step, "server")))


async def test_deleting_the_pod_ends_a_running_command_with_137(pods: Client, recording: Recording) -> None:
    step = _step(recording("exec-errors"), "the pod is deleted while the command runs")
    await pods.create("/api/v1/namespaces/rec/pods", pod_manifest("cut"))
    await pods.ready("cut")
    running = asyncio.create_task(_replay(pods, step))
    path = "/api/v1/namespaces/rec/pods/cut"
    ticking = await pods.exec("cut", "sh", "-c", "echo up")
    assert ticking.exit_code == 0
    await pods.request("DELETE", path, {"gracePeriodSeconds": 1})
    session = await running
    assert session.exit_code == 137
    assert _normal(session.frames[-1]) == _normal(_frames(step, "server")[-1])


async def test_a_terminal_resizes_interrupts_and_exits_as_recorded(
    pods: Client, recording: Recording
) -> None:
    step = recording("exec-tty")[0]
    async with asyncio.timeout(DEADLINE_S), pods.connect(step["request"]["path"]) as socket:
        seen = b""

        async def until(wanted: bytes) -> None:
            nonlocal seen
            while wanted not in seen:
                frame = await socket.receive_bytes()
                assert frame[0] == 1
                seen += frame[1:]
            seen = seen.partition(wanted)[2]

        for frame, wanted in (
            (b'\x04{"Width":120,"Height":40}', b""),
            (b"\0stty size\n", b"40 120\r\n"),
            (b'\x04{"Width":80,"Height":24}', b""),
            (b"\0stty size\n", b"24 80\r\n"),
            (b"\0sh -c 'echo begin; exec sleep 30'\n", b"begin\r\n"),
            (b"\0\x03", b"^C"),
            (b"\0exit 7\n", b"exit 7\r\n"),
        ):
            await socket.send_bytes(frame)
            if wanted:
                await until(wanted)
        rest = [message.data async for message in socket]
    assert _normal(rest[-1]) == _normal(_frames(step, "server")[-1])


@pytest.mark.parametrize("tty", [False, True])
async def test_a_process_survives_its_clients_socket(pods: Client, tty: bool) -> None:
    command = ("sh", "-c", "echo $$; exec sleep 31337")
    path = exec_path("ex", *command, stdin=True, stderr=not tty, tty=tty)
    async with pods.connect(path) as socket:
        started = b""
        while not started.endswith(b"\n"):
            started += (await socket.receive_bytes(timeout=DEADLINE_S))[1:]
    # Given the time it takes to run three more commands, it would be gone.
    for _ in range(3):
        alive = await pods.exec("ex", "sh", "-c", f"kill -0 {int(started)} && echo alive")
        assert alive.stdout == b"alive\n"
