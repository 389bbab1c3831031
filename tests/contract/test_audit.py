"""Audit records over HTTP: what owners and administrators read, of all that can be done."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.contract.conftest import Target, gateway_settings
from tests.contract.test_exec import marked, wait_until_running
from tests.contract.test_exec_stdin import MIB, PIECE, endless, path_of, run, send, upload
from tests.support import laptop
from tests.support.client import Client, Json
from tests.support.gam_files import gam_files
from tests.support.patience import PATIENCE

ALICE, BOB, ROOT = "alice@example.com", "bob@example.com", "root@example.com"
AS = {"as": "administrator"}


@pytest.fixture
async def alice(http: aiohttp.ClientSession, target: Target, tmp_path: Path) -> AsyncIterator[Client]:
    """A caller of a gateway of its own, which knows an administrator."""
    settings = {**gateway_settings(target, tmp_path), "ADMIN_EMAILS": "Other@example.com, Root@Example.com"}
    with laptop.gateway(tmp_path / "gateway.log", **settings) as (_, url):
        yield Client(http, url, ALICE)


async def records(client: Client, session: Json) -> list[Json]:
    """All records that are there, newest first, page by page."""
    found: list[Json] = []
    token = ""
    while True:
        path = f"/v1/sessions/{session['id']}/audit?page_size=4&page_token={token}"
        status, page, _ = await client.call("GET", path)
        assert status == 200, page
        assert len(page["records"]) <= 4
        found += page["records"]
        token = page.get("next_page_token", "")
        if not token:
            return found


async def raw(client: Client, method: str, path: str, data: bytes = b"", **headers: str) -> int:
    sent = {"X-Dev-User": client.user, **headers}
    async with client.http.request(method, client.url + path, data=data, headers=sent) as response:
        await response.read()
        return response.status


async def test_all_that_is_done_to_a_session_is_recorded_newest_first(alice: Client) -> None:
    session = await alice.create()
    path = f"/v1/sessions/{session['id']}"
    await alice.execute(session, ["echo", "password", "X1"])
    await alice.stream(session, "kill -9 $$")
    assert await raw(alice, "PUT", f"{path}/files/a", b"12345") == 201
    assert await raw(alice, "GET", f"{path}/files/a") == 200
    assert await raw(alice, "GET", f"{path}/files/?list=true") == 200
    assert await raw(alice, "GET", f"{path}/files/", Accept="application/x-tar") == 200
    assert await raw(alice, "DELETE", f"{path}/files/a") == 204
    assert await raw(alice, "DELETE", f"{path}/files/a") == 404
    _, job, _ = await alice.call("POST", f"{path}/jobs", {"command": "sleep 60 # token=X1"})
    await alice.call("POST", f"{path}/jobs/{job['job_id']}/cancel")
    content = gam_files("x")["oauth2.txt"]
    as_text = {"Content-Type": "text/plain"}
    assert await raw(alice, "PUT", "/v1/credentials/oauth2.txt", content, **as_text) == 200
    assert await raw(alice, "POST", f"{path}/credentials:refresh") == 200
    await alice.delete(session)
    found = await records(alice, session)
    assert [(record["action"], record["outcome"]) for record in reversed(found)] == [
        ("session.create", "running"),
        ("session.exec", "exited"),
        ("session.exec", "signaled"),
        ("session.file.put", "done"),
        ("session.file.get", "sent"),
        ("session.file.list", "done"),
        ("session.file.archive", "done"),
        ("session.file.delete", "done"),
        ("session.file.delete", "FILE_NOT_FOUND"),
        ("job.start", "started"),
        ("job.cancel", "cancelled"),
        ("job.end", "cancelled"),
        ("credentials.refresh", "copied"),
        ("session.delete", "deleted"),
    ]
    assert {record["actor"] for record in found} == {ALICE}
    assert {record["session_id"] for record in found} == {session["id"]}
    assert len({record["id"] for record in found}) == len(found)
    known = {
        "command": "echo password ***",
        "command_bytes": len("echo password X1 "),
        "stdin_bytes": 0,
        "stdin_end": "complete",
        "masked": True,
        "truncated": False,
        "exit_code": 0,
    }
    detail = dict(found[-2]["detail"])
    assert len(detail.pop("command_digest")) == 64
    assert detail == known
    assert found[-4]["detail"]["size"] == 5
    assert "X1" not in str(found)


async def test_a_command_that_runs_is_there_already(alice: Client) -> None:
    session = await alice.create()
    running = asyncio.create_task(alice.execute(session, "sleep 60"))
    async with asyncio.timeout(PATIENCE):
        while (found := (await records(alice, session))[0])["action"] != "session.exec":
            await asyncio.sleep(0.05)
    assert (found["outcome"], found["detail"]["command"]) == ("started", "sh -c 'sleep 60'")
    assert (found["detail"]["masked"], found["detail"]["truncated"]) == (False, False)
    await alice.delete(session)
    await running
    ended = next(record for record in await records(alice, session) if record["id"] == found["id"])
    assert (ended["outcome"], ended["at"]) == ("pod_lost", found["at"])


async def ended(client: Client, session: Json, action: str, *words: str) -> Json:
    """The detail of the newest record of that kind with these words in its command, once it has ended."""
    async with asyncio.timeout(PATIENCE):
        while True:
            for record in await records(client, session):
                told = record["action"] == action and all(w in record["detail"]["command"] for w in words)
                if told and (action != "session.exec" or record["outcome"] != "started"):
                    detail: Json = record["detail"]
                    return detail
            await asyncio.sleep(0.05)


def input_of(detail: Json) -> dict[str, Any]:
    return {name: value for name, value in detail.items() if name.startswith("stdin_")}


async def test_input_is_told_by_length_digest_and_end_however_it_came(alice: Client, tmp_path: Path) -> None:
    session = await alice.create(env={"OF_THE_SESSION": "X1"})
    data = PIECE[:100_000] + b"gam update user bob password X1"
    await run(alice, session, "wc -c", data)
    key = sqlite3.connect(tmp_path / "sessions.db").execute("SELECT key FROM audit_key").fetchone()[0]
    whole = {
        "stdin_bytes": len(data),
        "stdin_end": "complete",
        "stdin_digest": hmac.new(bytes.fromhex(key), data, hashlib.sha256).hexdigest(),
    }
    assert input_of(await ended(alice, session, "session.exec", "wc -c")) == whole
    text = "a line\nof a job\n"
    path, body = f"/v1/sessions/{session['id']}/jobs", {"command": "wc -l", "env": {"OF_THE_REQUEST": "X1"}}
    assert (await alice.call("POST", path, {**body, "stdin": text}))[0] == 201
    job = await ended(alice, session, "job.start", "wc -l")
    assert (job["stdin_bytes"], job["stdin_end"]) == (len(text), "complete")
    assert job["stdin_digest"] == hmac.new(bytes.fromhex(key), text.encode(), hashlib.sha256).hexdigest()
    assert job["env"] == "OF_THE_REQUEST"
    await alice.delete(session)
    assert "X1" not in str(await records(alice, session))


async def test_input_that_breaks_off_or_that_nobody_reads_is_not_called_complete(alice: Client) -> None:
    session = await alice.create()
    line, mark = marked("cat >/dev/null; echo complete; sleep MARK")
    async with upload(alice, path_of(session, ("command", line)), 4 * MIB) as writer:
        await send(writer, 1)
        await wait_until_running(alice, session, mark)
    broken = await ended(alice, session, "session.exec", mark, "sleep")
    assert (broken["stdin_end"], len(broken["stdin_digest"])) == ("broken", 64)
    assert 0 < broken["stdin_bytes"] <= MIB
    assert (await run(alice, session, "exit 3", endless()))["exit_code"] == 3
    assert (await ended(alice, session, "session.exec", "exit 3"))["stdin_end"] == "unread"
    await alice.delete(session)


async def test_an_administrator_looks_and_deletes_and_nothing_else_and_all_of_it_is_recorded(
    alice: Client,
) -> None:
    root, bob = alice.as_user(ROOT), alice.as_user(BOB)
    session = await alice.create()
    await alice.execute(session, "echo hello >/workspace/file")
    _, job, _ = await alice.call("POST", f"/v1/sessions/{session['id']}/jobs", {"command": "true"})
    path = f"/v1/sessions/{session['id']}"
    job_path = f"{path}/jobs/{job['job_id']}"
    hidden: list[tuple[str, str, object]] = [
        ("POST", f"{path}/exec", {"command": "true"}),
        ("GET", f"{path}/files/file", None),
        ("PUT", f"{path}/files/file", None),
        ("DELETE", f"{path}/files/file", None),
        ("GET", f"{path}/jobs", None),
        ("POST", f"{path}/jobs", {"command": "true"}),
        ("GET", job_path, None),
        ("POST", f"{job_path}/cancel", None),
        ("GET", f"{job_path}/output", None),
        ("POST", f"{path}/credentials:refresh", None),
    ]
    for method, hidden_path, body in hidden:
        for caller in (root, bob):
            status, problem, _ = await caller.call(method, hidden_path, body)
            assert (status, problem["reason"]) == (404, "SESSION_NOT_FOUND"), hidden_path
    for method, hidden_path in (("GET", path), ("GET", f"{path}/audit"), ("DELETE", path)):
        assert (await bob.call(method, hidden_path))[0] == 404
    status, seen, _ = await root.call("GET", path)
    assert (status, seen["owner"]) == (200, ALICE)
    assert (await root.call("GET", f"{path}/audit"))[0] == 200
    assert (await root.call("DELETE", path))[1]["state"] == "deleted"
    found = [record for record in await records(alice, session) if record["actor"] != ALICE]
    assert [(record["action"], record["outcome"], record["detail"]) for record in found] == [
        ("session.delete", "deleted", AS),
        ("session.audit", "read", AS),
        ("session.get", "read", AS),
    ]


async def test_only_administrators_abandon_a_session_and_what_is_seen_is_deleted(alice: Client) -> None:
    session, root = await alice.create(), alice.as_user(ROOT)
    path = f"/v1/sessions/{session['id']}"
    for caller, query, status, reason in (
        (alice, "?abandon=true", 403, "NOT_AN_ADMINISTRATOR"),
        (alice.as_user(BOB), "?abandon=true", 404, "SESSION_NOT_FOUND"),
        (root, "?abandon=perhaps", 400, "INVALID_FIELD"),
        (root, "?abandon=true&force=true", 400, "UNKNOWN_FIELD"),
    ):
        answered, problem, _ = await caller.call("DELETE", path + query)
        assert (answered, problem["reason"]) == (status, reason)
    assert (await alice.call("GET", path))[1]["state"] == "running"
    status, gone, _ = await root.call("DELETE", f"{path}?abandon=true")
    assert (status, gone["state"]) == (200, "deleted")
    newest, *_ = await records(alice, session)
    assert (newest["actor"], newest["action"], newest["outcome"]) == (ROOT, "session.delete", "deleted")


async def test_only_administrators_list_the_sessions_of_others(alice: Client) -> None:
    root, bob = alice.as_user(ROOT), alice.as_user(BOB)
    hers, his = await alice.create(), await bob.create()

    async def owners(caller: Client, query: str) -> list[str]:
        status, page, _ = await caller.call("GET", f"/v1/sessions{query}")
        assert status == 200, page
        return [session["id"] for session in page["sessions"]]

    assert await owners(root, "?owner=*") == [his["id"], hers["id"]]
    assert await owners(root, "?owner=*&state=failed") == []
    assert await owners(root, "?owner=Alice@Example.com") == [hers["id"]]
    assert await owners(root, "") == []
    assert await owners(bob, f"?owner={BOB}") == await owners(bob, "") == [his["id"]]
    _, first, _ = await root.call("GET", "/v1/sessions?owner=*&page_size=1")
    assert [session["id"] for session in first["sessions"]] == [his["id"]]
    assert await owners(root, f"?owner=*&page_size=1&page_token={first['next_page_token']}") == [hers["id"]]
    for asked in ("*", ALICE, "nobody@example.com"):
        status, problem, _ = await bob.call("GET", f"/v1/sessions?owner={asked}")
        assert (status, problem["reason"], problem["owner"]) == (403, "NOT_AN_ADMINISTRATOR", asked)
    for session, caller in ((hers, alice), (his, bob)):
        await caller.delete(session)
