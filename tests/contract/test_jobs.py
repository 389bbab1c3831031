"""What must be true of jobs on any cluster."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import secrets
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any

import pytest

from shared.kube.api.client import KubeApi
from tests.contract.conftest import Target
from tests.contract.test_exec import marked, processes, wait_until_running
from tests.contract.test_sessions import pod_path
from tests.support.client import Client, Json
from tests.support.patience import PATIENCE


async def start(client: Client, session: Json, command: list[str] | str, **options: object) -> Json:
    path = f"/v1/sessions/{session['id']}/jobs"
    status, job, headers = await client.call("POST", path, {"command": command, **options})
    assert status == 201, job
    assert headers["location"] == f"{path}/{job['job_id']}"
    return job


async def get(client: Client, session: Json, job: Json) -> Json:
    status, found, _ = await client.call("GET", f"/v1/sessions/{session['id']}/jobs/{job['job_id']}")
    assert status == 200, found
    return found


async def cancel(client: Client, session: Json, job: Json) -> Json:
    path = f"/v1/sessions/{session['id']}/jobs/{job['job_id']}/cancel"
    status, found, _ = await client.call("POST", path)
    assert status == 200, found
    return found


async def ended(client: Client, session: Json, job: Json) -> Json:
    async with asyncio.timeout(PATIENCE):
        while (found := await get(client, session, job))["state"] in ("queued", "running"):
            await asyncio.sleep(0.1)
    return found


async def lines(
    client: Client, session: Json, job: Json, *, cursor: str = "", follow: bool = True
) -> AsyncGenerator[Json]:
    """The job's events as they come."""
    url = f"{client.url}/v1/sessions/{session['id']}/jobs/{job['job_id']}/output"
    query = {"follow": str(follow).lower(), **({"cursor": cursor} if cursor else {})}
    async with client.http.get(url, params=query, headers={"X-Dev-User": client.user}) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "application/x-ndjson"
        async for line in response.content:
            yield json.loads(line)


async def events(client: Client, session: Json, job: Json, **options: Any) -> list[Json]:
    return [event async for event in lines(client, session, job, **options)]


def content(found: list[Json], stream: str) -> bytes:
    """All of a stream, whose offsets must follow on each other."""
    data = b""
    for event in found:
        if event["type"] == stream:
            assert event["offset"] == len(data), event
            data += event["text"].encode() if "text" in event else base64.b64decode(event["base64"])
    return data


async def test_a_job_runs_to_its_end_and_everything_of_it_can_be_read(client: Client, session: Json) -> None:
    command = ["sh", "-c", "echo out; sleep 0.2; echo err >&2; sleep 0.2; echo more; exit 3"]
    job = await start(client, session, command, name="nightly", timeout_seconds=60)
    assert job["command"] == command
    assert (job["name"], job["state"], job["timeout_seconds"]) == ("nightly", "running", 60)
    found = await events(client, session, job)
    assert [event["type"] for event in found] == ["started", "stdout", "stderr", "stdout", "exit"]
    assert (content(found, "stdout"), content(found, "stderr")) == (b"out\nmore\n", b"err\n")
    assert (found[-1]["result"], found[-1]["exit_code"], found[-1]["state"]) == ("exited", 3, "exited")
    done = await get(client, session, job)
    assert (done["state"], done["exit_code"], done["signal"], done["reason"]) == ("exited", 3, None, None)
    assert (done["stdout_bytes"], done["stderr_bytes"]) == (9, 4)
    times = [datetime.fromisoformat(done[name]) for name in ("created_at", "started_at", "ended_at")]
    assert times == sorted(times)
    assert 0.3 < (times[2] - times[1]).total_seconds() < PATIENCE
    assert all(event["time"] for event in found)


async def followers(client: Client, session: Json) -> int:
    """How many of the pod's processes follow a job."""
    script = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -cx '[f]ollow'"
    return int((await client.execute(session, script))["stdout"])


async def job_processes(client: Client, session: Json, job: Json) -> int:
    """How many of the pod's processes belong to a job's supervisor."""
    return await processes(client, session, job["job_id"])


async def test_a_job_outlives_the_request_that_started_it_and_one_that_follows_it(
    client: Client, session: Json
) -> None:
    command, mark = marked("echo begun; sleep MARK")
    job = await start(client, session, command)
    async with contextlib.aclosing(lines(client, session, job)) as stream:
        async for event in stream:
            if event["type"] == "stdout":
                assert await followers(client, session)
                break
    async with asyncio.timeout(PATIENCE):
        while await followers(client, session):
            await asyncio.sleep(0.1)
    assert await processes(client, session, mark)
    assert (await get(client, session, job))["state"] == "running"
    await cancel(client, session, job)


async def test_cancel_ends_the_process_group_and_again_gives_the_same_answer(
    client: Client, session: Json
) -> None:
    command, mark = marked("sleep MARK & sleep MARK")
    job = await start(client, session, command)
    await wait_until_running(client, session, mark)
    first = await cancel(client, session, job)
    assert (first["state"], first["exit_code"], first["signal"]) == ("cancelled", 143, "SIGTERM")
    assert await cancel(client, session, job) == first == await get(client, session, job)
    assert await processes(client, session, mark) == 0
    assert await job_processes(client, session, job) == 0
    assert (await events(client, session, job))[-1]["result"] == "cancelled"


async def test_a_command_that_ignores_term_is_killed_after_five_seconds(
    client: Client, session: Json
) -> None:
    command, mark = marked("trap '' TERM; echo deaf; while :; do sleep 0.1; done; : MARK")
    job = await start(client, session, command)
    async with contextlib.aclosing(lines(client, session, job)) as stream:
        async for event in stream:
            if event["type"] == "stdout":
                break
    began = asyncio.get_running_loop().time()
    done = await cancel(client, session, job)
    assert asyncio.get_running_loop().time() - began > 4  # and no more: tests/shared/kube/jobs/test_script.py
    assert (done["state"], done["exit_code"], done["signal"]) == ("cancelled", 137, "SIGKILL")
    assert await processes(client, session, mark) == 0


async def test_cancelling_what_has_ended_changes_nothing(client: Client, session: Json) -> None:
    job = await start(client, session, "exit 4")
    done = await ended(client, session, job)
    assert await cancel(client, session, job) == done
    assert (done["state"], done["exit_code"]) == ("exited", 4)


async def test_its_time_limit_ends_a_job(client: Client, session: Json) -> None:
    command, mark = marked("echo begun; sleep MARK")
    job = await start(client, session, command, timeout_seconds=1)
    found = await events(client, session, job)
    assert (found[-1]["result"], found[-1]["state"], found[-1]["exit_code"]) == (
        "timed_out",
        "timed_out",
        143,
    )
    done = await get(client, session, job)
    assert (done["state"], done["signal"]) == ("timed_out", "SIGTERM")
    assert await processes(client, session, mark) == 0


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ({"command": ["no-such-command"]}, 127, "not found"),
        ({"command": ["/etc/passwd"]}, 126, "permission denied"),
        ({"command": ["true"], "workdir": "/no/such"}, 127, "no such directory"),
    ],
)
async def test_a_job_that_cannot_start_says_why(
    client: Client, session: Json, options: dict[str, Any], code: int, told: str
) -> None:
    job = await start(client, session, **options)
    done = await ended(client, session, job)
    assert (done["state"], done["exit_code"]) == ("exited", code)
    assert told in done["reason"]
    last = (await events(client, session, job))[-1]
    assert (last["result"], last["reason"]) == ("start_failed", done["reason"])


async def test_a_signal_is_told_as_such(client: Client, session: Json) -> None:
    done = await ended(client, session, await start(client, session, "kill -SEGV $$"))
    assert (done["state"], done["exit_code"], done["signal"]) == ("exited", 139, "SIGSEGV")


async def test_input_variables_and_folder_arrive_exactly(client: Client, session: Json) -> None:
    env = {"QUOTED": "a'b\"c $HOME\n*", "PATH": "/bin:/usr/bin"}
    script = 'printf "%s|" "$QUOTED"; [ "$(pwd)" = /tmp ] && echo there; cat'
    job = await start(client, session, script, env=env, workdir="/tmp", stdin="input ä\n")
    found = await events(client, session, job)
    assert content(found, "stdout").decode() == "a'b\"c $HOME\n*|there\ninput ä\n"
    binary = bytes(range(256)) * 100
    job = await start(client, session, "cat", stdin_base64=base64.b64encode(binary).decode())
    assert content(await events(client, session, job), "stdout") == binary
    job = await start(client, session, "cat")
    assert (await ended(client, session, job))["stdout_bytes"] == 0


async def test_the_same_key_never_starts_a_job_twice(client: Client, session: Json) -> None:
    path = f"/v1/sessions/{session['id']}/jobs"
    body = {"command": "echo once >>/workspace/started"}
    key = {"Idempotency-Key": secrets.token_hex(8)}
    status, first, headers = await client.call("POST", path, body, **key)
    assert status == 201
    for _ in range(2):
        status, again, other = await client.call("POST", path, body, **key)
        assert (status, again, other["location"]) == (201, first, headers["location"])
    await ended(client, session, first)
    assert (await client.execute(session, "cat /workspace/started"))["stdout"] == "once\n"
    status, problem, _ = await client.call("POST", path, {"command": "true"}, **key)
    assert (status, problem["reason"]) == (422, "IDEMPOTENCY_KEY_REUSED")


async def test_requests_at_once_with_one_key_start_one_job(client: Client, session: Json) -> None:
    path = f"/v1/sessions/{session['id']}/jobs"
    body = {"command": "echo once >>/workspace/at-once; sleep 1"}
    key = {"Idempotency-Key": secrets.token_hex(8)}
    answers = await asyncio.gather(*(client.call("POST", path, body, **key) for _ in range(6)))
    started = [job for status, job, _ in answers if status == 201]
    assert started
    assert {status for status, _, _ in answers} <= {201, 409}
    assert len({job["job_id"] for job in started}) == 1
    await ended(client, session, started[0])
    assert (await client.execute(session, "cat /workspace/at-once"))["stdout"] == "once\n"


async def test_jobs_are_listed_newest_first_in_pages(client: Client, session: Json) -> None:
    started = [await start(client, session, f"exit {code}") for code in range(3)]
    for job in started:
        await ended(client, session, job)
    path = f"/v1/sessions/{session['id']}/jobs"
    _, page, _ = await client.call("GET", f"{path}?page_size=2")
    _, rest, _ = await client.call("GET", f"{path}?page_size=2&page_token={page['next_page_token']}")
    assert [job["exit_code"] for job in page["jobs"] + rest["jobs"]] == [2, 1, 0]
    assert "next_page_token" not in rest


async def test_others_jobs_do_not_exist(client: Client, session: Json) -> None:
    job = await start(client, session, "sleep 60")
    path = f"/v1/sessions/{session['id']}/jobs"
    stranger = client.as_user("mallory@example.com")
    for method, place in [
        ("GET", path),
        ("GET", f"{path}/{job['job_id']}"),
        ("GET", f"{path}/{job['job_id']}/output"),
        ("POST", f"{path}/{job['job_id']}/cancel"),
    ]:
        status, problem, _ = await stranger.call(method, place)
        assert (status, problem["reason"]) == (404, "SESSION_NOT_FOUND")
    other = await client.create()
    status, problem, _ = await client.call("GET", f"/v1/sessions/{other['id']}/jobs/{job['job_id']}")
    assert (status, problem["reason"]) == (404, "JOB_NOT_FOUND")
    await client.delete(other)
    assert (await cancel(client, session, job))["state"] == "cancelled"


NOISE = r"""
i=0
while [ $i -lt 40 ]; do
  printf 'line %s \303\244\342\202\254\n' $i
  [ $((i % 7)) -ne 0 ] || printf '\377\000%s' $i >&2
  [ $((i % 5)) -ne 0 ] || sleep 0.05
  i=$((i + 1))
done
head -c 300000 /dev/urandom | tee /workspace/random
"""


async def test_after_any_disconnect_the_client_goes_on_without_losing_or_repeating_a_byte(
    client: Client, session: Json
) -> None:
    job = await start(client, session, NOISE)
    found: list[Json] = []
    cursor = ""
    cuts = 0
    while not found or found[-1]["type"] != "exit":
        cuts += 1
        left = 1 + secrets.randbelow(3)
        async with contextlib.aclosing(lines(client, session, job, cursor=cursor)) as stream:
            async for event in stream:
                found.append(event)
                cursor = event["cursor"]
                left -= 1
                if not left:
                    break
    assert cuts > 1  # there are four events at the least; in how many pieces output comes, nobody says
    random = await client.execute(session, "sha256sum </workspace/random; wc -c </workspace/random")
    out = content(found, "stdout")
    text = "".join(f"line {number} ä€\n" for number in range(40)).encode()
    assert out[: len(text)] == text
    digest, size = random["stdout"].split()[0], int(random["stdout"].split()[-1])
    assert (hashlib.sha256(out[len(text) :]).hexdigest(), len(out) - len(text)) == (digest, size)
    assert content(found, "stderr") == b"".join(b"\xff\x00%d" % number for number in range(0, 40, 7))
    assert [event["type"] for event in found].count("started") == 1


async def test_output_that_is_there_can_be_read_without_following(client: Client, session: Json) -> None:
    job = await start(client, session, "echo one; sleep 300")
    async with asyncio.timeout(PATIENCE):
        while not (found := await events(client, session, job, follow=False))[1:]:
            await asyncio.sleep(0.1)
    assert [event["type"] for event in found] == ["started", "stdout"]
    assert await events(client, session, job, follow=False, cursor=found[-1]["cursor"]) == []
    await cancel(client, session, job)
    rest = await events(client, session, job, follow=False, cursor=found[-1]["cursor"])
    assert [event["type"] for event in rest] == ["exit"]


async def test_a_browser_goes_on_with_its_last_event_id_and_stops_after_the_end(
    client: Client, session: Json
) -> None:
    job = await start(client, session, "echo one; exit 5")
    await ended(client, session, job)
    url = f"{client.url}/v1/sessions/{session['id']}/jobs/{job['job_id']}/output?follow=true"
    headers = {"X-Dev-User": client.user, "Accept": "text/event-stream"}
    async with client.http.get(url, headers=headers) as response:
        assert response.content_type == "text/event-stream"
        text = await response.text()
    blocks = [
        dict(line.split(": ", 1) for line in block.splitlines()) for block in text.strip().split("\n\n")
    ]
    assert [block["event"] for block in blocks] == ["started", "stdout", "exit"]
    headers["Last-Event-ID"] = blocks[1]["id"]
    async with client.http.get(url, headers=headers) as response:
        rest = await response.text()
    assert rest.startswith("event: exit\n")
    headers["Last-Event-ID"] = blocks[2]["id"]
    async with client.http.get(url, headers=headers) as response:
        assert (response.status, await response.text()) == (204, "")


@pytest.mark.parametrize("cursor", ["x", "1-2-3", "-1-0-0-0", "0-7-0-0", "9" * 40, "0-0-0-0-0"])
async def test_a_cursor_that_is_none_of_the_jobs_is_refused(
    client: Client, session: Json, cursor: str
) -> None:
    job = await start(client, session, "echo hello")
    await ended(client, session, job)
    path = f"/v1/sessions/{session['id']}/jobs/{job['job_id']}/output?cursor={cursor}"
    status, problem, _ = await client.call("GET", path)
    assert (status, problem["reason"], problem["field"]) == (400, "INVALID_FIELD", "cursor")


async def test_many_jobs_at_once(client: Client, session: Json) -> None:
    numbers = range(10)
    jobs = await asyncio.gather(
        *(
            start(client, session, f"i=0; while [ $i -lt 50 ]; do echo {n} $i; i=$((i + 1)); done")
            for n in numbers
        )
    )
    found = await asyncio.gather(*(events(client, session, job) for job in jobs))
    for number, one in zip(numbers, found, strict=True):
        assert content(one, "stdout").decode() == "".join(f"{number} {line}\n" for line in range(50))
        assert one[-1]["exit_code"] == 0


async def test_deleting_the_session_ends_its_jobs_as_lost_and_those_that_ended_are_not(
    client: Client,
) -> None:
    session = await client.create()
    done = await start(client, session, "echo fine")
    running = await start(client, session, "echo begun; sleep 600")
    stream = asyncio.create_task(events(client, session, running))
    await asyncio.sleep(0.5)
    await client.delete(session)
    last = (await stream)[-1]
    assert (last["type"], last["result"], last["state"], last["exit_code"]) == (
        "exit",
        "pod_lost",
        "lost",
        None,
    )
    assert last["reason"]
    lost = await get(client, session, running)
    assert (lost["state"], lost["exit_code"]) == ("lost", None)
    assert "deleted" in lost["reason"].lower()
    kept = await get(client, session, done)
    assert (kept["state"], kept["exit_code"], kept["stdout_bytes"]) == ("exited", 0, 5)
    assert await cancel(client, session, running) == lost
    assert (await events(client, session, running))[-1]["result"] == "pod_lost"
    afterwards = await events(client, session, done)
    assert [(event["type"], event.get("bytes")) for event in afterwards] == [("gap", 5), ("exit", None)]


async def test_a_pod_that_is_gone_loses_its_jobs_with_the_reason(
    client: Client, kube: KubeApi, target: Target
) -> None:
    session = await client.create()
    job = await start(client, session, "sleep 600")
    stream = asyncio.create_task(events(client, session, job))
    await asyncio.sleep(0.5)
    await kube.request(
        "DELETE",
        pod_path(session),
        body={"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 1},
    )
    async with asyncio.timeout(PATIENCE):
        last = (await stream)[-1]
    assert (last["result"], last["state"]) == ("pod_lost", "lost")
    lost = await ended(client, session, job)
    assert lost["state"] == "lost"
    assert lost["reason"]
    await client.delete(session)


async def test_a_supervisor_that_is_killed_loses_its_job(client: Client, session: Json) -> None:
    job = await start(client, session, "sleep 600")
    stream = asyncio.create_task(events(client, session, job))
    await asyncio.sleep(0.5)
    await client.execute(session, f"kill -9 $(cat /var/lib/gamgui/jobs/{job['job_id']}/pid)")
    async with asyncio.timeout(PATIENCE):
        last = (await stream)[-1]
    assert (last["type"], last["state"]) == ("exit", "lost")
    lost = await get(client, session, job)
    assert (lost["state"], lost["reason"]) == ("lost", last["reason"])


async def test_a_session_that_does_not_run_starts_no_job(client: Client) -> None:
    session = await client.create()
    await client.delete(session)
    status, problem, _ = await client.call("POST", f"/v1/sessions/{session['id']}/jobs", {"command": "true"})
    assert (status, problem["reason"]) == (409, "SESSION_NOT_RUNNING")


async def test_a_slow_reader_neither_holds_up_the_job_nor_loses_a_byte(client: Client, session: Json) -> None:
    job = await start(client, session, "dd if=/dev/zero bs=1M count=8 2>/dev/null | tr '\\0' x")
    url = f"{client.url}/v1/sessions/{session['id']}/jobs/{job['job_id']}/output?follow=true"
    async with client.http.get(url, headers={"X-Dev-User": client.user}) as response:
        await response.content.readexactly(1000)
        assert (await ended(client, session, job))["exit_code"] == 0
        rest = await response.content.read()
    assert rest.count(b"x") >= 8 * 1024 * 1024 - 1000
