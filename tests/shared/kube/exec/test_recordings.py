"""Our exec client on the frames that a real Kubernetes sent: whole, in crumbs, and cut off anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

import pytest

from shared.core.commands import Command, ExecEvent, ExecResult, Exit, Output, Started
from shared.core.sessions.pod import PodPhase, PodStatus
from shared.errors import ClusterUnavailable, UnprocessableRequest
from shared.kube.api.errors import ApiError
from shared.kube.exec.end_mark import end_mark
from shared.kube.exec.execution import Execution
from shared.kube.exec.socket import Container
from shared.reasons import Reason
from tests.support.exec_server import ExecServer, api_at, crumbling, frames_of, recording
from tests.support.patience import PATIENCE


async def pod_lives(grace: bool) -> PodStatus:
    """Never returns."""
    await asyncio.Event().wait()
    raise AssertionError


async def pod_is_gone(grace: bool) -> PodStatus:
    return PodStatus(PodPhase.GONE, "NotFound: the pod is gone", Reason.POD_GONE)


async def run(
    url: str,
    command: Command | None = None,
    pod_lost: Callable[[bool], Awaitable[PodStatus]] = pod_lives,
    shutdown: asyncio.Event | None = None,
) -> list[ExecEvent]:
    """Runs a command against the server and answers its events."""
    api = api_at(url)
    tasks: list[asyncio.Task[None]] = []

    def background(work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        tasks.append(asyncio.create_task(work))
        return tasks[-1]

    command = command or Command(argv=["true"], timeout_seconds=20)
    execution = Execution(
        api,
        Container("ns", "pod", "session"),
        command,
        pod_lost=pod_lost,
        background=background,
        shutdown=shutdown or asyncio.Event(),
    )
    try:
        async with contextlib.aclosing(execution.events()) as events:
            return [event async for event in events]
    finally:
        await asyncio.gather(*tasks, return_exceptions=True)
        await api.close()


def output(events: list[ExecEvent], stream: str) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Output) and event.stream == stream)


KNOWN = [
    ("stdout and success", ExecResult.EXITED, 0, None, b"hello\n", b""),
    ("both streams, exit code 3", ExecResult.EXITED, 3, None, b"out\n", b"err\n"),
    ("killed by SIGKILL", ExecResult.SIGNALED, 137, "SIGKILL", b"", b""),
    ("one UTF-8 character", ExecResult.EXITED, 0, None, b"\xc3\xa9", b""),
    ("no output", ExecResult.EXITED, 0, None, b"", b""),
    ("the same with v4", ExecResult.EXITED, 0, None, b"hello\n", b""),
    ("client offers v5 and v4", ExecResult.EXITED, 0, None, b"hello\n", b""),
]


@pytest.mark.parametrize("crumbs", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize(("note", "result", "code", "signal", "stdout", "stderr"), KNOWN)
async def test_every_recorded_end_is_read_right(
    note: str,
    result: ExecResult,
    code: int,
    signal: str | None,
    stdout: bytes,
    stderr: bytes,
    crumbs: bool,
) -> None:
    async with ExecServer(frames_of(recording("exec-basic", note))).running() as server:
        if crumbs:
            async with crumbling(server.url) as url:
                events = await run(url)
        else:
            events = await run(server.url)
    assert events[0] == Started(11)
    assert events[-1] == Exit(result=result, exit_code=code, signal=signal)
    assert (output(events, "stdout"), output(events, "stderr")) == (stdout, stderr)


async def test_a_shell_that_is_not_there_is_a_failure_to_start_with_the_runtimes_words() -> None:
    frames = frames_of(recording("exec-basic", "the command does not exist"))
    async with ExecServer(frames, announce=False).running() as server:
        events = await run(server.url)
    reason = 'exec: "no-such-command": executable file not found in $PATH'
    assert events == [Exit(result=ExecResult.START_FAILED, reason=reason)]


async def test_half_a_mebibyte_arrives_with_its_offsets() -> None:
    step = recording("exec-basic", "512 KiB of output")
    async with ExecServer(frames_of(step)).running() as server:
        events = await run(server.url)
    outputs = [event for event in events if isinstance(event, Output) and event.stream == "stdout"]
    assert [event.offset for event in outputs] == [
        sum(len(before.data) for before in outputs[:number]) for number in range(len(outputs))
    ]
    assert sum(len(event.data) for event in outputs) == 512 * 1024


@pytest.mark.parametrize("note", [known[0] for known in KNOWN])
async def test_a_connection_cut_after_any_frame_is_never_a_success(note: str) -> None:
    frames = frames_of(recording("exec-basic", note))

    async def cut(count: int) -> None:
        async with ExecServer(frames, cut_after=count).running() as server:
            last = (await run(server.url))[-1]
            lost = (await run(server.url, pod_lost=pod_is_gone))[-1]
        # Nobody knows whether it still runs, so it is ended - if it ever said that it runs.
        assert len(server.stopped) == (1 if count >= 2 else 0)
        assert last == Exit(
            result=ExecResult.UNKNOWN, reason="the connection to the container ended without a status"
        ), (note, count)
        assert lost == Exit(result=ExecResult.POD_LOST, reason="NotFound: the pod is gone")

    # The supervisor's line is one frame more; the status comes last.
    await asyncio.gather(*(cut(count) for count in range(len(frames) + 1)))


async def test_137_of_a_deleted_pod_is_told_as_the_pods_loss() -> None:
    step = recording("exec-errors", "the pod is deleted while the command runs")
    async with ExecServer(frames_of(step)).running() as server:
        events = await run(server.url, pod_lost=pod_is_gone)
    assert output(events, "stdout").startswith(b"tick\ntick\n")
    assert events[-1] == Exit(result=ExecResult.POD_LOST, reason="NotFound: the pod is gone")


async def test_exec_in_a_finished_pod_is_a_failure_to_start() -> None:
    frames = frames_of(recording("exec-errors", "the pod has finished"))
    async with ExecServer(frames, announce=False).running() as server:
        events = await run(server.url)
    assert isinstance(events[-1], Exit)
    assert events[-1].result is ExecResult.START_FAILED
    assert "no running task found" in (events[-1].reason or "")


async def text(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_input_goes_out_in_frames_of_64_kib_and_is_closed() -> None:
    frames = frames_of(recording("exec-stdin", "v5: two stdin frames"))
    command = Command(argv=["cat"], timeout_seconds=20, stdin=text(b"x" * 150_000, b"tail"))
    async with ExecServer(frames, wait_for_input_end=True).running() as server:
        events = await run(server.url, command)
    header, *data, close = server.received[0]
    assert b"cat" in header
    assert close == b"\xff\x00"
    assert all(frame[:1] == b"\x00" and len(frame) <= 64 * 1024 + 1 for frame in data)
    assert b"".join(frame[1:] for frame in data) == b"x" * 150_000 + b"tail"
    assert events[-1] == Exit(result=ExecResult.EXITED, exit_code=0)


async def test_input_on_a_server_that_cannot_end_it_is_refused_before_anything_runs() -> None:
    command = Command(argv=["cat"], timeout_seconds=20, stdin=text(b"x"))
    async with ExecServer([b"\x01"], protocols=("v4.channel.k8s.io",)).running() as server:
        with pytest.raises(UnprocessableRequest) as caught:
            await run(server.url, command)
    assert caught.value.reason == Reason.STDIN_NOT_SUPPORTED
    assert server.received == [[]]


async def test_input_that_breaks_off_ends_the_command_instead_of_its_input() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError("the caller is gone")

    status = frames_of(recording("exec-basic", "killed by SIGKILL"))[-1]
    command = Command(argv=["cat"], timeout_seconds=5, stdin=broken())
    async with ExecServer([b"\x01", status]).running() as server:
        await run(server.url, command)
    assert b"\xff\x00" not in server.received[0]


async def test_input_that_breaks_off_before_the_command_has_begun_ends_it_when_it_begins() -> None:
    broke = asyncio.Event()

    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        broke.set()
        raise ConnectionResetError("the caller is gone")

    status = frames_of(recording("exec-basic", "killed by SIGKILL"))[-1]
    command = Command(argv=["cat"], timeout_seconds=5, stdin=broken())
    async with ExecServer([b"\x01", status], delay_seconds=0.5, announce_when=broke).running() as server:
        await run(server.url, command)
    assert len(server.stopped) == 1
    assert b"\xff\x00" not in server.received[0]


async def test_a_caller_that_goes_before_the_command_has_begun_is_no_input_that_ended() -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"half"
        await asyncio.get_running_loop().create_future()

    gone = asyncio.Event()
    status = frames_of(recording("exec-basic", "killed by SIGKILL"))[-1]
    command = Command(argv=["cat"], timeout_seconds=30, stdin=endless())
    async with ExecServer([b"\x01", status], delay_seconds=30, announce_when=gone).running() as server:
        running = asyncio.create_task(run(server.url, command))
        async with asyncio.timeout(PATIENCE):
            while not (server.received and server.received[0]):
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.sleep(0)
        gone.set()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    assert len(server.stopped) == 1


async def test_nothing_of_the_command_stands_in_the_url() -> None:
    frames = frames_of(recording("exec-basic", "no output"))
    command = Command(argv=["gam", "password", "hunter2"], timeout_seconds=20, env={"TOKEN": "s3cret"})
    async with ExecServer(frames).running() as server:
        await run(server.url, command)
    url = " ".join(server.commands[0])
    assert "hunter2" not in url
    assert "s3cret" not in url
    assert b"hunter2" in server.received[0][0]


async def test_a_status_that_cannot_be_read_is_unknown() -> None:
    for status in (b"", b"{", b"null", b"[]", b"\xff", b'{"status": "Failure"}'):
        async with ExecServer([b"\x01", b"\x03" + status]).running() as server:
            last = (await run(server.url))[-1]
        assert isinstance(last, Exit)
        assert (last.result, last.exit_code) == (ExecResult.UNKNOWN, None)


async def test_a_stop_that_hangs_does_not_hold_up_the_end_of_the_time() -> None:
    command = Command(argv=["sleep"], timeout_seconds=0.2)
    async with ExecServer([b"\x01"], stop_hangs=True).running() as server:
        async with asyncio.timeout(PATIENCE):
            last = (await run(server.url, command))[-1]
    assert len(server.stopped) == 1
    assert isinstance(last, Exit)
    assert (last.result, last.exit_code) == (ExecResult.TIMED_OUT, None)


async def test_a_shutdown_is_over_before_the_instance_is_killed_even_if_the_cluster_hangs() -> None:
    shutdown = asyncio.Event()

    async def told_to_end(grace: bool) -> PodStatus:
        """Asked for when the command has run for a second."""
        shutdown.set()
        return await pod_lives(grace)

    async with ExecServer([b"\x01"], stop_hangs=True).running() as server:
        async with asyncio.timeout(PATIENCE):
            last = (await run(server.url, pod_lost=told_to_end, shutdown=shutdown))[-1]
    assert len(server.stopped) == 1
    reason = "the service instance shut down and told the command to end"
    assert last == Exit(result=ExecResult.UNKNOWN, reason=reason)


async def test_a_pod_is_watched_on_after_the_cluster_was_away() -> None:
    looks = 0

    async def lost_at_the_second_look(grace: bool) -> PodStatus:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise ClusterUnavailable("away")
        return PodStatus(PodPhase.GONE, "NotFound: the pod is gone", Reason.POD_GONE)

    command = Command(argv=["sleep"], timeout_seconds=60)
    async with ExecServer([b"\x01"]).running() as server:
        async with asyncio.timeout(PATIENCE):
            last = (await run(server.url, command, pod_lost=lost_at_the_second_look))[-1]
    assert last == Exit(result=ExecResult.POD_LOST, reason="NotFound: the pod is gone")


async def test_a_command_that_ended_by_itself_is_not_called_lost_with_its_pod() -> None:
    frames = frames_of(recording("exec-basic", "stdout and success"))
    async with ExecServer(frames, delay_seconds=1.5).running() as server:
        last = (await run(server.url, pod_lost=pod_is_gone))[-1]
    assert last == Exit(result=ExecResult.EXITED, exit_code=0)


def said(code: int, *channels: int) -> list[bytes]:
    """The supervisor's last line on these channels. The server's tag stands where it is sent."""
    return [bytes([channel]) + b"TAG" + end_mark("", code) for channel in channels]


@pytest.mark.parametrize(
    ("code", "result", "signal"),
    [(0, ExecResult.EXITED, None), (7, ExecResult.EXITED, None), (137, ExecResult.SIGNALED, "SIGKILL")],
)
@pytest.mark.parametrize("first", [1, 2], ids=["stdout first", "stderr first"])
async def test_a_command_ends_when_it_ends_and_not_when_its_output_is_closed(
    code: int, result: ExecResult, signal: str | None, first: int
) -> None:
    # The time is over before what was left behind lets go of the output.
    command = Command(argv=["sh"], timeout_seconds=1)
    frames = [b"\x01", b"\x01out", b"\x02err", *said(code, first, 3 - first), b"\x01late"]
    async with ExecServer(frames).running() as server:
        events = await run(server.url, command)
    assert events[-1] == Exit(result=result, exit_code=code, signal=signal, left_running=True)
    assert (output(events, "stdout"), output(events, "stderr")) == (b"outlate", b"err")
    assert server.stopped == []


@pytest.mark.parametrize("channel", [1, 2])
async def test_what_is_left_behind_and_floods_is_not_read_to_its_end(channel: int) -> None:
    flood = [bytes([channel]) + b"x" * 65536] * 1000
    async with ExecServer([b"\x01", *said(0, 1, 2), *flood]).running() as server:
        events = await run(server.url, Command(argv=["sh"], timeout_seconds=PATIENCE))
    assert events[-1] == Exit(result=ExecResult.EXITED, exit_code=0, left_running=True)
    assert 0 < len(output(events, "stdout" if channel == 1 else "stderr")) < 2 * 1024 * 1024


async def test_the_status_is_the_end_if_it_comes_in_time() -> None:
    frames = [b"\x01", *said(0, 1, 2), frames_of(recording("exec-basic", "both streams, exit code 3"))[-1]]
    async with ExecServer(frames).running() as server:
        events = await run(server.url)
    assert events == [Started(11), Exit(result=ExecResult.EXITED, exit_code=3)]


async def test_an_end_whose_output_does_not_come_is_unknown() -> None:
    command = Command(argv=["sh"], timeout_seconds=1)
    async with ExecServer([b"\x01", *said(0, 2)]).running() as server:
        events = await run(server.url, command)
    reason = "the command has ended, but the rest of its output has not come"
    assert events[-1] == Exit(result=ExecResult.UNKNOWN, reason=reason)
    assert len(server.stopped) == 1


async def test_a_command_that_was_ended_at_its_limit_tells_what_it_left_behind() -> None:
    command = Command(argv=["sh"], timeout_seconds=0.2)
    frames = [b"\x01", *said(143, 1, 2)]
    async with ExecServer(frames, after_stop=True).running() as server:
        last = (await run(server.url, command))[-1]
    assert last == Exit(
        result=ExecResult.TIMED_OUT,
        exit_code=143,
        signal="SIGTERM",
        reason="the command took longer than 0.2 s and was ended",
        left_running=True,
    )


async def test_a_connection_that_breaks_behind_the_commands_whole_output_takes_nothing_from_its_end() -> None:
    frames = [b"\x01", *said(3, 1, 2)]
    async with ExecServer(frames, cut_after=len(frames) + 1).running() as server:
        last = (await run(server.url))[-1]
    assert last == Exit(result=ExecResult.EXITED, exit_code=3)


@pytest.mark.parametrize("channel", [1, 2])
async def test_a_connection_that_breaks_takes_no_byte_that_came(channel: int) -> None:
    """The last letter may begin the supervisor's last line."""
    frames = [b"\x01", bytes([channel]) + b"waiting"]
    async with ExecServer(frames, cut_after=len(frames) + 1).running() as server:
        events = await run(server.url)
    assert output(events, "stdout" if channel == 1 else "stderr") == b"waiting"
    assert isinstance(events[-1], Exit)
    assert events[-1].result is ExecResult.UNKNOWN


def refusal(message: str, **others: object) -> bytes:
    """How an API server that has upgraded already says that the kubelet refused (streamtranslator.go)."""
    status = {"status": "Failure", "reason": "InternalError", "code": 500, "message": message, **others}
    return json.dumps(status).encode()


DIAL = (
    'Internal error occurred: error sending request: Post "https://10.0.0.5:10250/exec/ns/pod/session": '
    "dial tcp 10.0.0.5:10250: connect: connection refused"
)
NOT_FOUND = 'Internal error occurred: unable to upgrade connection: container not found ("session")'
BUSY = {"reason": "TooManyRequests", "code": 429, "details": {"retryAfterSeconds": 3600}}


async def test_what_the_kubelet_refused_behind_the_upgrade_has_not_begun_and_is_tried_again() -> None:
    server = ExecServer(frames_of(recording("exec-basic", "stdout and success")))
    server.refusals = [refusal(DIAL), refusal("Internal error occurred: unable to upgrade connection: busy")]
    async with server.running():
        events = await run(server.url)
    assert (events[0], events[-1]) == (Started(11), Exit(result=ExecResult.EXITED, exit_code=0))
    assert output(events, "stdout") == b"hello\n"
    assert len(server.commands) == 3


@pytest.mark.parametrize(
    ("refused", "code", "wait", "words"),
    [
        (refusal(NOT_FOUND), 500, None, "container not found"),
        (refusal("too many requests", **BUSY), 429, 3600, "too many requests"),
    ],
)
async def test_a_refusal_behind_the_upgrade_is_told_as_one_before_it(
    refused: bytes, code: int, wait: float | None, words: str
) -> None:
    async with ExecServer([b"\x01"], refusals=[refused]).running() as server:
        with pytest.raises(ApiError, match=words) as caught:
            await run(server.url)
    assert (caught.value.code, caught.value.retry_after_seconds) == (code, wait)
    assert (len(server.commands), server.stopped) == (1, [])


async def test_a_command_whose_input_has_been_sent_is_refused_and_not_tried_again() -> None:
    command = Command(argv=["cat"], timeout_seconds=20, stdin=text(b"x"))
    async with ExecServer([b"\x01"], refusals=[refusal(DIAL)]).running() as server:
        with pytest.raises(ApiError, match="dial tcp <address>: connect: connection refused"):
            await run(server.url, command)
    assert (len(server.commands), server.stopped) == (1, [])
