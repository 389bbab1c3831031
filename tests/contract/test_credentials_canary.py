"""Nothing secret of credentials comes out anywhere: a word in all of them is looked for everywhere."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from shared.kube.api.client import KubeApi
from shared.kube.credentials.copying import COPIED
from shared.kube.jobs.runtime import JOBS
from tests.contract.conftest import Target, gateway_settings
from tests.support import laptop
from tests.support.client import Client, Json
from tests.support.gam_files import gam_files

_WATCH = """\
while [ ! -e /tmp/enough ]; do
  cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | sort -u >/tmp/now
  sort -u /tmp/now /tmp/seen -o /tmp/seen
done
cat /tmp/seen
"""


class Everything:
    """All that came out, to be searched."""

    def __init__(self) -> None:
        self.word = "canary" + secrets.token_hex(12)
        self._found: list[tuple[str, bytes]] = []

    def add(self, where: str, what: bytes | str | object) -> None:
        if not isinstance(what, bytes):
            what = (what if isinstance(what, str) else json.dumps(what)).encode()
        self._found.append((where, what))

    def add_folder(self, folder: Path) -> None:
        for file in folder.iterdir():
            self.add(file.name, file.read_bytes())

    def assert_clean(self) -> None:
        word = self.word.encode()
        # Of any text that has the word in it, base64 has one of these.
        spellings = [word] + [base64.b64encode(b"." * by + word)[4:-4] for by in range(3)]
        assert self._found
        for where, what in self._found:
            for spelling in spellings:
                assert spelling not in what, where


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def own_url(target: Target, folder: Path) -> Iterator[str]:
    """A gateway whose log and store are this test's."""
    with laptop.gateway(folder / "gateway.log", **gateway_settings(target, folder)) as (_, url):
        yield url


@pytest.fixture
def own(http: aiohttp.ClientSession, own_url: str) -> Client:
    return Client(http, own_url, f"canary-{secrets.token_hex(4)}@example.com")


async def ask(
    everything: Everything, client: Client, method: str, path: str, data: bytes = b"", **headers: str
) -> tuple[int, str]:
    """Status and reason of an answer, which is kept for the search."""
    sent = {
        "X-Dev-User": client.user,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    async with client.http.request(method, client.url + path, data=data or None, headers=sent) as answer:
        body = await answer.read()
        everything.add(f"{method} {path}: {answer.status}", body + str(answer.headers).encode())
        return answer.status, str(json.loads(body).get("reason"))


def wrong_files(word: str) -> Iterator[tuple[str, bytes]]:
    """Files that are refused, with the word where messages like to quote."""
    files = {name: json.loads(data) for name, data in gam_files(word).items()}
    good = gam_files(word)["oauth2.txt"]
    yield "oauth2.txt", word.encode()
    yield "oauth2.txt", f'{{"{word}'.encode()
    yield "oauth2.txt", json.dumps([word]).encode()
    yield "oauth2.txt", good[:-20]
    yield "oauth2.txt", good + word.encode()
    yield "oauth2.txt", b"\xff" + good
    yield "oauth2.txt", json.dumps({word: word}).encode()
    yield "oauth2.txt", json.dumps({**files["oauth2.txt"], "refresh_token": {word: word}}).encode()
    yield "oauth2.txt", json.dumps({**files["oauth2.txt"], "client_id": f"{word}\n"}).encode()
    yield "oauth2service.json", json.dumps({**files["oauth2service.json"], "type": word}).encode()
    yield "oauth2service.json", json.dumps({**files["oauth2service.json"], "private_key": word}).encode()
    yield "client_secrets.json", json.dumps({"installed": word}).encode()
    yield "client_secrets.json", json.dumps({"installed": {"client_id": word * 10}}).encode()


async def test_the_word_is_found_where_it_was_put_and_nowhere_else(
    own: Client, folder: Path, kube: KubeApi, target: Target
) -> None:
    everything = Everything()
    word = everything.word
    json_type = {"Content_Type": "application/json"}

    for name, data in wrong_files(word):
        status, reason = await ask(everything, own, "PUT", f"/v1/credentials/{name}", data, **json_type)
        assert (status, reason) == (400, "CREDENTIALS_INVALID"), data[:80]
    good = gam_files(word)
    long = good["oauth2.txt"] + b" " * 70_000
    for name, data, media_type, expected in (
        ("oauth2.txt", long, "application/json", (413, "PAYLOAD_TOO_LARGE")),
        ("oauth2.txt", good["oauth2.txt"], "application/xml", (415, "UNSUPPORTED_MEDIA_TYPE")),
        ("other.txt", good["oauth2.txt"], "application/json", (404, "CREDENTIALS_FILE_UNKNOWN")),
        *((name, data, "text/plain", (200, "None")) for name, data in good.items()),
    ):
        path = f"/v1/credentials/{name}"
        assert await ask(everything, own, "PUT", path, data, Content_Type=media_type) == expected
    await ask(everything, own, "GET", "/v1/credentials")

    session = await own.create(env={"A": "b"})
    try:
        refreshed = await _refreshed_while_watched(everything, own, session)
        assert refreshed == (200, "None")
        path = f"/v1/sessions/{session['id']}/credentials:refresh"
        await own.execute(session, "chmod 500 ~/.gam")
        assert await ask(everything, own, "POST", path) == (422, "CREDENTIALS_NOT_COPIED")
        kept = await own.execute(session, "chmod 700 ~/.gam; cat ~/.gam/oauth2.txt")
        assert kept["stdout"].encode() == good["oauth2.txt"]

        everything.add("session", session)
        base = f"/api/v1/namespaces/{target.namespace}"
        everything.add("pod", await kube.request("GET", f"{base}/pods/{session['pod_name']}"))
        everything.add("events", await kube.request("GET", f"{base}/events"))
        assert await ask(everything, own, "GET", f"/v1/sessions/{session['id']}") == (200, "None")
    finally:
        await own.delete(session)
    assert await ask(everything, own, "DELETE", "/v1/credentials/oauth2.txt") == (200, "None")
    assert await ask(everything, own, "DELETE", "/v1/credentials") == (200, "None")

    log = (folder / "gateway.log").read_text()
    for audited in ("put", "delete", "refresh"):
        assert f"credentials.{audited} by {own.user}" in log
    assert ": CREDENTIALS_NOT_COPIED" in log
    everything.add_folder(folder)
    everything.assert_clean()


async def _refreshed_while_watched(everything: Everything, client: Client, session: Json) -> tuple[int, str]:
    """Refreshes while something in the pod notes all processes and their environments."""
    path = f"/v1/sessions/{session['id']}/credentials:refresh"
    await client.execute(session, "touch /tmp/seen")
    watching = asyncio.create_task(client.execute(session, _WATCH, timeout_seconds=60))
    for _ in range(8):
        answer = await ask(everything, client, "POST", path)
    await client.execute(session, "touch /tmp/enough")
    seen = (await watching)["stdout"]
    home = (await client.execute(session, "echo $HOME"))["stdout"]
    assert f"HOME={home}" in seen
    assert "umask 077" in seen, "it did not look while a refresh ran"
    everything.add("processes", seen)
    return answer


async def test_a_command_waits_until_the_home_is_made(client: Client, session: Json) -> None:
    later = "sleep 1; mv .later .copied"
    # Once it has said something it has a group of its own, which does not end with this command.
    hide = f"cd {JOBS} && mv .copied .later && setsid sh -c 'echo on; {later}' >/tmp/on 2>&1 & "
    wait = f"while [ ! -s /tmp/on ]; do :; done; [ -e {JOBS}/.later ]"
    assert (await client.execute(session, hide + wait))["exit_code"] == 0
    result = await client.execute(session, f"ls {COPIED}")
    assert result["exit_code"] == 0, result
