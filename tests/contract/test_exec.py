"""What must be true of commands on any cluster."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import re
import secrets
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from shared.kube.api.client import KubeApi
from tests.contract.conftest import Target, gateway_settings
from tests.contract.test_sessions import pod_path
from tests.support import laptop
from tests.support.client import Client, Json
from tests.support.patience import PATIENCE


def marked(command: str) -> tuple[str, str]:
    """A shell line that can be found among the pod's processes, and what to look for."""
    number = str(31_000_000 + secrets.randbelow(1_000_000))
    return command.replace("MARK", number), number


async def processes(client: Client, session: Json, mark: str) -> int:
    """How many of the pod's processes have the mark in their arguments."""
    pattern = f"[{mark[0]}]{mark[1:]}"  # does not match the command that looks for it
    script = f"cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -c '{pattern}'"
    return int((await client.execute(session, script))["stdout"])


async def wait_until_ended(client: Client, session: Json, mark: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while await processes(client, session, mark):
            await asyncio.sleep(0.1)


async def wait_until_running(client: Client, session: Json, mark: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await processes(client, session, mark):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("code", [0, 1, 3, 42, 126, 127, 255])
async def test_the_exit_code_is_the_commands_own(client: Client, session: Json, code: int) -> None:
    result = await client.execute(session, f"exit {code}")
    assert (result["result"], result["exit_code"]) == ("exited", code)


@pytest.mark.parametrize(("name", "code"), [("KILL", 137), ("TERM", 143), ("SEGV", 139)])
async def test_a_signal_is_told_as_such(client: Client, session: Json, name: str, code: int) -> None:
    result = await client.execute(session, f"kill -{name} $$")
    assert (result["result"], result["exit_code"], result["signal"]) == ("signaled", code, f"SIG{name}")
    assert result["stderr"] == ""


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"command": ["no-such-command"]}, "not found"),
        ({"command": ["/no/such/file"]}, "not found"),
        ({"command": ["/etc/passwd"]}, "permission denied"),
        ({"command": ["/etc"]}, "is a directory"),
        ({"command": ["true"], "workdir": "/no/such"}, "no such directory"),
    ],
)
async def test_a_command_that_cannot_start_says_why(
    client: Client, session: Json, options: dict[str, Any], told: str
) -> None:
    result = await client.execute(session, **options)
    assert (result["result"], result["exit_code"]) == ("start_failed", None)
    assert told in result["reason"]
    assert result["stdout"] == result["stderr"] == ""


async def test_streams_are_kept_apart_and_counted(client: Client, session: Json) -> None:
    result = await client.execute(session, "echo out; echo err >&2; exit 3")
    assert (result["stdout"], result["stderr"], result["exit_code"]) == ("out\n", "err\n", 3)
    assert (result["stdout_bytes"], result["stderr_bytes"], result["truncated"]) == (4, 4, False)
    assert result["duration_ms"] > 0


HOSTILE = [
    "",
    " ",
    "'",
    '"',
    "a'b\"c",
    "$HOME",
    "`id`",
    "$(id)",
    "a\nb\n",
    "\\",
    "*",
    "-n",
    "ä€😀",
    "a\tb",
    "!!",
    "\r",
]


async def test_arguments_arrive_exactly(client: Client, session: Json) -> None:
    result = await client.execute(session, ["printf", "%s\\0", *HOSTILE])
    assert result["stdout"].split("\0")[:-1] == HOSTILE


async def test_variables_and_folder_arrive_exactly(client: Client, session: Json) -> None:
    env = {f"V{number}": value for number, value in enumerate(HOSTILE)}
    names = " ".join(f'"$V{number}"' for number in range(len(HOSTILE)))
    result = await client.execute(
        session, f"printf '%s\\0' {names}; [ \"$(pwd)\" = /tmp ] && echo there", env=env, workdir="/tmp"
    )
    assert result["stdout"].split("\0") == [*HOSTILE, "there\n"]


async def test_variables_of_the_caller_do_not_disturb_ours(client: Client, session: Json) -> None:
    env = {
        "PATH": "/bin:/usr/bin",
        "IFS": "x",
        "gamgui_pid": "1",
        "gamgui_stdin": "caller",
        "ENV": "/etc/passwd",
    }
    result = await client.execute(session, ["sh", "-c", "echo fine"], env=env)
    assert (result["stdout"], result["exit_code"]) == ("fine\n", 0)


async def test_input_ends(client: Client, session: Json) -> None:
    assert (await client.execute(session, ["cat"], stdin="no newline at the end"))[
        "stdout"
    ] == "no newline at the end"
    assert (await client.execute(session, ["cat"], stdin=""))["stdout"] == ""
    assert (await client.execute(session, ["cat"]))["stdout"] == ""


async def test_binary_input_and_output_are_exact(client: Client, session: Json) -> None:
    data = bytes(range(256)) * 40
    result = await client.execute(session, ["cat"], stdin_base64=base64.b64encode(data).decode())
    assert base64.b64decode(result["stdout_base64"]) == data
    assert "stdout" not in result


async def test_input_that_is_not_read_holds_nothing_up(client: Client, session: Json) -> None:
    result = await client.execute(session, ["head", "-c", "5"], stdin="x" * 900_000, timeout_seconds=20)
    assert (result["result"], result["stdout"], result["exit_code"]) == ("exited", "xxxxx", 0)


async def test_large_input_and_output_at_once(client: Client, session: Json) -> None:
    text = "0123456789abcdef" * 60_000
    result = await client.execute(session, "cat; cat /dev/null", stdin=text)
    assert hashlib.sha256(result["stdout"].encode()).digest() == hashlib.sha256(text.encode()).digest()


async def test_events_come_as_they_happen_and_end_with_exit(client: Client, session: Json) -> None:
    events = await client.stream(session, "printf a; sleep 0.3; printf b >&2; sleep 0.3; printf c")
    assert [event["type"] for event in events] == ["started", "stdout", "stderr", "stdout", "exit"]
    assert [(e["offset"], e["text"]) for e in events[1:-1]] == [(0, "a"), (0, "b"), (1, "c")]
    assert events[0]["pid"] > 1
    times = [event["time"] for event in events]
    assert times == sorted(times)
    assert (events[-1]["result"], events[-1]["exit_code"]) == ("exited", 0)


async def test_a_character_is_never_split(client: Client, session: Json) -> None:
    events = await client.stream(session, r"printf '\303'; sleep 0.3; printf '\251'; printf '\377'")
    output = [(event["offset"], event.get("text"), event.get("base64")) for event in events[1:-1]]
    whole = b"".join(t.encode() if t is not None else base64.b64decode(b or "") for _, t, b in output)
    assert whole == b"\xc3\xa9\xff"
    assert output[0][:2] == (0, "é") or output == [(0, None, base64.b64encode(whole).decode())]


async def test_server_sent_events(client: Client, session: Json) -> None:
    path = f"{client.url}/v1/sessions/{session['id']}/exec"
    headers = {"X-Dev-User": client.user, "Accept": "text/event-stream"}
    async with client.http.post(path, json={"command": ["echo", "hi"]}, headers=headers) as response:
        assert response.content_type == "text/event-stream"
        blocks = (await response.text()).split("\n\n")
    assert [block.splitlines()[0] for block in blocks if block] == [
        "event: started",
        "event: stdout",
        "event: exit",
    ]


async def test_32_mib_arrive_whole(client: Client, session: Json) -> None:
    script = "dd if=/dev/urandom of=/tmp/r bs=1048576 count=32 2>/dev/null; sha256sum /tmp/r >&2; cat /tmp/r"
    events = await client.stream(session, script)
    digest, expected, total = hashlib.sha256(), "", 0
    for event in events:
        data = event["text"].encode() if "text" in event else base64.b64decode(event.get("base64", ""))
        if event["type"] == "stdout":
            assert event["offset"] == total
            total += len(data)
            digest.update(data)
        elif event["type"] == "stderr":
            expected += data.decode()
    assert total == 32 * 1024 * 1024
    assert digest.hexdigest() == expected.split()[0]
    assert events[-1]["exit_code"] == 0


async def test_a_long_answer_keeps_head_and_tail_and_the_true_count(client: Client, session: Json) -> None:
    script = "printf head; dd if=/dev/zero bs=1048576 count=12 2>/dev/null | tr '\\0' x; printf tail"
    result = await client.execute(session, script)
    assert result["truncated"] is True
    assert result["stdout_bytes"] == 12 * 1024 * 1024 + 8
    assert result["stdout"].startswith("headx")
    assert result["stdout"].endswith("xtail")
    assert len(result["stdout"]) + result["stdout_omitted"]["bytes"] == result["stdout_bytes"]


async def test_a_timeout_ends_the_whole_process_group(client: Client, session: Json) -> None:
    line, mark = marked("sleep MARK & sleep MARK & wait")
    result = await client.execute(session, line, timeout_seconds=1)
    assert result["result"] == "timed_out"
    assert await processes(client, session, mark) == 0


async def test_a_timeout_insists_when_the_command_ignores_it(client: Client, session: Json) -> None:
    line, mark = marked("trap '' TERM; while :; do sleep 1; : MARK; done")
    result = await client.execute(session, line, timeout_seconds=1)
    assert (result["result"], result["exit_code"]) == ("timed_out", 137)
    assert 5_000 <= result["duration_ms"] <= PATIENCE * 1000
    await wait_until_ended(client, session, mark)


async def post(client: Client, path: str, body: Json, accept: str) -> None:
    headers = {"X-Dev-User": client.user, "Accept": accept}
    async with client.http.post(path, json=body, headers=headers) as response:
        await response.read()


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
@pytest.mark.parametrize("stdin", [None, "some input"])
async def test_a_command_ends_with_its_caller(
    client: Client, session: Json, accept: str, stdin: str | None
) -> None:
    line, mark = marked("sleep MARK")
    path = f"{client.url}/v1/sessions/{session['id']}/exec"
    body = {"command": line, "stdin": stdin}
    request = asyncio.create_task(post(client, path, body, accept))
    await wait_until_running(client, session, mark)
    request.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await request
    await wait_until_ended(client, session, mark)


@pytest.mark.parametrize("end", ["terminate", "kill"])
async def test_a_command_ends_with_the_function_that_ran_it(
    client: Client,
    http: aiohttp.ClientSession,
    session: Json,
    target: Target,
    tmp_path: Path,
    gateway_url: str,
    end: str,
) -> None:
    line, mark = marked("sleep MARK")
    settings = gateway_settings(target, tmp_path)
    with laptop.gateway(tmp_path / "other.log", **settings) as (process, url):
        other = Client(http, url, client.user)
        own = await other.create()
        request = asyncio.create_task(other.stream(own, line))
        await wait_until_running(other, own, mark)
        getattr(process, end)()
        with contextlib.suppress(aiohttp.ClientError):
            await request
        process.wait(PATIENCE)
    with laptop.gateway(tmp_path / "again.log", **settings) as (_, url):
        again = Client(http, url, client.user)
        await wait_until_ended(again, own, mark)
        await again.delete(own)


async def test_a_pod_deleted_under_a_command_ends_the_stream_with_the_reason(
    client: Client, kube: KubeApi
) -> None:
    session = await client.create()
    line, mark = marked("trap '' TERM; echo begun; sleep MARK")
    request = asyncio.create_task(client.stream(session, line))
    await wait_until_running(client, session, mark)
    await kube.request("DELETE", pod_path(session))
    async with asyncio.timeout(PATIENCE):
        events = await request
    assert events[1]["text"] == "begun\n"
    assert events[-1]["type"] == "exit"
    assert (events[-1]["result"], events[-1]["exit_code"]) == ("pod_lost", None)
    assert events[-1]["reason"]
    await client.delete(session)


async def test_forty_commands_at_once(client: Client, session: Json) -> None:
    results = await asyncio.gather(*(client.execute(session, f"echo {number}") for number in range(40)))
    assert [result["stdout"] for result in results] == [f"{number}\n" for number in range(40)]


async def test_nothing_is_left_running(client: Client, session: Json) -> None:
    for command in ("sleep 0.1 & exit 0", "true", "echo x | cat", "exit 3"):
        await client.execute(session, command)
    # In a process group only who goes through them like this sees the pod's own, and not itself.
    script = "for process in /proc/[0-9]*; do tr '\\0' ' ' <$process/cmdline; echo; done 2>/dev/null"
    output = (await client.execute(session, f"{script} | grep -v 'proc/'"))["stdout"]
    assert "sleep 86400" in output  # of the main process
    supervised = set(re.findall(r"gamgui-[0-9a-f]{16}", output))
    assert len(supervised) <= 1, output  # the one that runs this very command


# Leaves the command's group, and lets the command wait until it has.
LEFT = "setsid sh -c ': >ready-MARK; sleep MARK' KEEPS & until [ -e ready-MARK ]; do sleep 0.1; done"


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson", "text/event-stream"])
async def test_a_process_that_is_left_behind_does_not_hold_its_command(
    client: Client, session: Json, accept: str
) -> None:
    line, mark = marked(f"({LEFT.replace('KEEPS', '')}); echo started; exit 3")
    url = f"{client.url}/v1/sessions/{session['id']}/exec"
    headers = {"X-Dev-User": client.user, "Accept": accept}
    async with client.http.post(url, json={"command": line}, headers=headers) as response:
        said = (await response.text()).strip()
    if accept == "application/json":
        result = json.loads(said)
        output = result["stdout"]
    else:
        lines = [text.removeprefix("data: ") for text in said.splitlines()]
        *events, result = [json.loads(text) for text in lines if text.startswith("{")]
        output = "".join(event["text"] for event in events if event["type"] == "stdout")
    assert (result["result"], result["exit_code"], result["left_running"]) == ("exited", 3, True)
    assert output == "started\n"
    assert await processes(client, session, mark) > 0
    _, audit, _ = await client.call("GET", f"/v1/sessions/{session['id']}/audit")
    [detail] = [record["detail"] for record in audit["records"] if "ready-" in str(record["detail"])]
    assert detail["left_running"] is True


async def test_who_is_left_behind_without_the_commands_output_holds_up_nothing(
    client: Client, session: Json
) -> None:
    line, mark = marked(LEFT.replace("KEEPS", ">/dev/null 2>&1"))
    result = await client.execute(session, line)
    assert (result["result"], result["exit_code"]) == ("exited", 0)
    assert "left_running" not in result
    assert await processes(client, session, mark) > 0


async def test_nohup_does_not_take_a_process_out_of_its_commands_group(client: Client, session: Json) -> None:
    line, mark = marked(  # where the image has no nohup, what nohup does
        "hup=$(command -v nohup) || trap '' HUP; "
        "$hup sh -c ': >ready-MARK; sleep MARK' & until [ -e ready-MARK ]; do sleep 0.1; done"
    )
    result = await client.execute(session, line)
    assert (result["result"], result["exit_code"]) == ("exited", 0)
    assert "left_running" not in result
    await wait_until_ended(client, session, mark)
