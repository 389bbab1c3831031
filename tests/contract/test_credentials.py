"""What must be true of credentials on any cluster."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from shared.core.sessions.names import credentials_name, owner_hash
from shared.kube.api.client import KubeApi
from shared.kube.api.errors import ApiError
from shared.kube.credentials.copying import MOUNTED
from tests.contract.conftest import Target
from tests.support.client import Client, Json
from tests.support.gam_files import CLIENT_ID, gam_files

NAMES = ["client_secrets.json", "oauth2.txt", "oauth2service.json"]
MODES = "cd ~/.gam && stat -c '%a %F' . && stat -c '%a %F %n' *"


@pytest.fixture
async def owner(client: Client) -> AsyncIterator[Client]:
    """The caller, whose credentials are removed afterwards."""
    yield client
    status, left, _ = await client.call("DELETE", "/v1/credentials")
    assert (status, left) == (200, {"credentials": []})


async def put(client: Client, name: str, data: bytes, media_type: str = "application/json") -> Json:
    headers = {"X-Dev-User": client.user, "Content-Type": media_type}
    async with client.http.put(f"{client.url}/v1/credentials/{name}", data=data, headers=headers) as answer:
        body: Json = await answer.json(content_type=None)
        assert answer.status == 200, body
    return body


async def listed(client: Client) -> list[Json]:
    status, body, _ = await client.call("GET", "/v1/credentials")
    assert status == 200, body
    found: list[Json] = body["credentials"]
    return found


async def refresh(client: Client, session: Json) -> Json:
    status, body, _ = await client.call("POST", f"/v1/sessions/{session['id']}/credentials:refresh")
    assert status == 200, body
    return body


async def content(client: Client, session: Json, name: str) -> bytes | None:
    """A file in the session's ~/.gam, None when there is none."""
    result = await client.execute(session, f"cat ~/.gam/{name}")
    return result["stdout"].encode() if result["exit_code"] == 0 else None


async def test_put_says_what_was_kept_and_get_says_what_there_is(owner: Client) -> None:
    assert await listed(owner) == []
    before = datetime.now(UTC)
    files = gam_files("canary")
    kept = [await put(owner, name, data) for name, data in reversed(files.items())]
    found = await listed(owner)
    assert found == kept[::-1]
    assert [file["file"] for file in found] == NAMES
    for file in found:
        assert before <= datetime.fromisoformat(file.pop("updated_at")) <= datetime.now(UTC)
    assert found == [
        {"file": "client_secrets.json", "client_id": CLIENT_ID, "project_id": "gam-project-1"},
        {"file": "oauth2.txt", "client_id": CLIENT_ID},
        {
            "file": "oauth2service.json",
            "client_id": "110000000000000000001",
            "client_email": "gam-project-1@gam-project-1.iam.gserviceaccount.com",
            "project_id": "gam-project-1",
        },
    ]


async def test_each_owner_has_one_labelled_secret_with_the_files_as_they_were_sent(
    owner: Client, kube: KubeApi, target: Target
) -> None:
    files = gam_files("canary")
    for name, data in files.items():
        await put(owner, name, data)
    all_secrets = f"/api/v1/namespaces/{target.namespace}/secrets"
    theirs = [("labelSelector", f"gamgui.io/owner={owner_hash(owner.user)}")]
    (secret,) = (await kube.request("GET", all_secrets, params=theirs))["items"]
    assert sorted(secret["data"]) == NAMES
    installation = secret["metadata"]["labels"]["gamgui.io/installation"]
    assert secret["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "gamgui",
        "gamgui.io/owner": owner_hash(owner.user),
        "gamgui.io/installation": installation,
    }
    assert secret["metadata"]["name"] == credentials_name(owner.user, installation)
    path = f"{all_secrets}/{secret['metadata']['name']}"
    assert owner.user not in str(secret)
    await owner.call("DELETE", "/v1/credentials")
    with pytest.raises(ApiError, match="404"):
        await kube.request("GET", path)


async def test_a_new_session_has_the_credentials_in_its_home_from_the_first_command_on(owner: Client) -> None:
    files = gam_files(secrets.token_hex(8))
    for name, data in files.items():
        await put(owner, name, data)
    session = await owner.create()
    try:
        assert session["credentials"] == NAMES
        for name, data in files.items():
            assert await content(owner, session, name) == data
        modes = (await owner.execute(session, MODES))["stdout"].splitlines()
        assert modes == ["700 directory", *(f"600 regular file {name}" for name in NAMES)]
        written = await owner.execute(session, "echo '{}' >~/.gam/oauth2.txt")
        assert written["exit_code"] == 0
        refused = await owner.execute(session, "echo x >/var/lib/gamgui/credentials/oauth2.txt")
        assert refused["exit_code"] != 0
    finally:
        await owner.delete(session)


async def test_a_session_without_credentials_says_so_and_has_none_of_others(
    owner: Client, session: Json
) -> None:
    assert session["credentials"] == []
    await put(owner.as_user("other@example.com"), "oauth2.txt", gam_files("theirs")["oauth2.txt"])
    assert (await owner.execute(session, "ls -A ~/.gam"))["stdout"] == ""
    assert await listed(owner) == []
    status, _, _ = await owner.as_user("other@example.com").call("DELETE", "/v1/credentials")
    assert status == 200


async def test_changed_credentials_reach_a_running_session_when_asked_for_and_not_before(
    owner: Client, session: Json
) -> None:
    old, new = gam_files("old"), gam_files("new")
    await owner.execute(session, "true")  # which waits until the home is made
    await put(owner, "oauth2.txt", old["oauth2.txt"])
    assert await content(owner, session, "oauth2.txt") is None
    assert await refresh(owner, session) == {"copied": ["oauth2.txt"], "removed": []}
    assert await content(owner, session, "oauth2.txt") == old["oauth2.txt"]

    for name in NAMES:
        await put(owner, name, new[name])
    assert await content(owner, session, "oauth2.txt") == old["oauth2.txt"]
    assert await refresh(owner, session) == {"copied": NAMES, "removed": []}
    for name in NAMES:
        assert await content(owner, session, name) == new[name]
    modes = (await owner.execute(session, MODES))["stdout"].splitlines()
    assert modes == ["700 directory", *(f"600 regular file {name}" for name in NAMES)]
    _, shown, _ = await owner.call("GET", f"/v1/sessions/{session['id']}")
    assert shown["credentials"] == NAMES


async def test_a_refresh_removes_what_came_from_the_credentials_and_nothing_that_gam_made(
    owner: Client, session: Json
) -> None:
    files = gam_files("one")
    await put(owner, "client_secrets.json", files["client_secrets.json"])
    await refresh(owner, session)
    await owner.execute(session, "echo made >~/.gam/oauth2.txt; echo mine >~/.gam/gam.cfg")
    status, left, _ = await owner.call("DELETE", "/v1/credentials/client_secrets.json")
    assert (status, left) == (200, {"credentials": []})
    assert await refresh(owner, session) == {"copied": [], "removed": ["client_secrets.json"]}
    assert (await owner.execute(session, "ls -A ~/.gam"))["stdout"].split() == ["gam.cfg", "oauth2.txt"]
    assert await refresh(owner, session) == {"copied": [], "removed": []}


async def test_writers_at_the_same_time_lose_nothing(owner: Client) -> None:
    files = gam_files("many")
    await asyncio.gather(*(put(owner, name, files[name]) for name in NAMES * 4))
    assert [file["file"] for file in await listed(owner)] == NAMES
    deletions = [owner.call("DELETE", f"/v1/credentials/{name}") for name in NAMES[:2] * 3]
    answers = await asyncio.gather(*deletions)
    assert {status for status, _, _ in answers} == {200}
    assert [file["file"] for file in await listed(owner)] == NAMES[2:]


async def test_deleting_is_repeatable_and_only_for_files_of_gams(owner: Client) -> None:
    for path in ("/v1/credentials/oauth2.txt", "/v1/credentials"):
        status, body, _ = await owner.call("DELETE", path)
        assert (status, body) == (200, {"credentials": []})
    status, body, _ = await owner.call("DELETE", "/v1/credentials/gam.cfg")
    assert (status, body["reason"]) == (404, "CREDENTIALS_FILE_UNKNOWN")


async def test_others_sessions_and_ended_ones_cannot_be_refreshed(owner: Client, session: Json) -> None:
    path = f"/v1/sessions/{session['id']}/credentials:refresh"
    status, body, _ = await owner.as_user("other@example.com").call("POST", path)
    assert (status, body["reason"]) == (404, "SESSION_NOT_FOUND")
    await owner.delete(session)
    status, body, _ = await owner.call("POST", path)
    assert (status, body["reason"]) == (409, "SESSION_NOT_RUNNING")


async def test_what_is_put_after_a_create_is_not_in_the_pod_until_it_is_refreshed(owner: Client) -> None:
    """The pod mounts what the session's document names, whatever comes into the Secret later."""
    files = gam_files(secrets.token_hex(8))
    await put(owner, "oauth2.txt", files["oauth2.txt"])
    session = await owner.create()
    try:
        await put(owner, "oauth2service.json", files["oauth2service.json"])
        assert session["credentials"] == ["oauth2.txt"]
        mounted = await owner.execute(session, f"ls {MOUNTED} ~/.gam")
        assert mounted["stdout"].count("oauth2.txt") == 2
        assert "oauth2service.json" not in mounted["stdout"]
        assert (await refresh(owner, session))["copied"] == ["oauth2.txt", "oauth2service.json"]
        assert await content(owner, session, "oauth2service.json") == files["oauth2service.json"]
    finally:
        await owner.delete(session)
