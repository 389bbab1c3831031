"""A session's variables: they reach commands and jobs as given, and nothing else shows them."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import aiohttp

from shared.kube.api.client import KubeApi
from shared.kube.credentials.copying import MOUNTED
from tests.contract.conftest import Target, gateway_settings
from tests.support import laptop
from tests.support.client import Client
from tests.support.gam_files import gam_files

KINDS = ("pods", "events", "secrets", "configmaps", "podtemplates", "services", "serviceaccounts")


async def test_variables_arrive_as_given_and_are_seen_nowhere(
    http: aiohttp.ClientSession, target: Target, tmp_path: Path, kube: KubeApi
) -> None:
    word = "canary" + secrets.token_hex(12)
    env = {
        "DOLLARS": f"$$ $(HOME) $HOME ${{HOME}} `id` {word}",
        "LINES": f"a\n1\n\n {word}\n",
        "QUOTES": f'it\'s "{word}" \\ \\n',
        "TEXT": f"Grüße 😀 {word}",
        "HOME": f"/{word}",
        "PATH": "/workspace:/bin:/usr/bin",
        "UID": "7",
        "BOTH": word,
    }
    # Home and workspace are asked for and not named: where pods are process groups they are elsewhere.
    expected = {**env, "HOME": "home", "PATH": "workspace:/bin:/usr/bin", "BOTH": "own"}
    shown = {name: f"${name}" for name in env if name != "UID"}
    shown["HOME"] = '$([ "$HOME" -ef /home/gam ] && printf home)'
    shown["PATH"] = '$([ "${PATH%%:*}" -ef /workspace ] && printf workspace):${PATH#*:}'
    show = "".join(f'printf "%s\\0" "{value}";' for value in shown.values())
    wanted = [value for name, value in expected.items() if name != "UID"]
    seen: list[str] = []
    with laptop.gateway(tmp_path / "gateway.log", **gateway_settings(target, tmp_path)) as (_, url):
        own = Client(http, url, f"env-{secrets.token_hex(4)}@example.com")
        session = await own.create(env=env)
        # None of these is any script's of ours: not sh, nor what it starts.
        for name in ("sleep", "cat", "setsid", "tar", "tr", "mkdir"):
            trap = f"cd /workspace && echo '#!/bin/sh' >{name} && echo 'echo trap >>/tmp/trap' >>{name}"
            await own.execute(session, f"{trap} && chmod 755 {name}", env={"PATH": "/bin:/usr/bin"})
        answer = await own.execute(session, show, env={"BOTH": "own"})
        assert answer["stdout"].split("\0")[:-1] == wanted
        job = f"{url}/v1/sessions/{session['id']}/jobs"
        headers = {"X-Dev-User": own.user}
        async with http.post(job, json={"command": show, "env": {"BOTH": "own"}}, headers=headers) as started:
            seen.append(await started.text())
            job += f"/{json.loads(seen[-1])['job_id']}/output?follow=true"
        async with http.get(job, headers=headers) as output:
            events = [json.loads(line) async for line in output.content]
        said = "".join(event["text"] for event in events if event["type"] == "stdout")
        assert said.split("\0")[:-1] == wanted
        for path in ("", "/files/?list=true", "/audit", "/jobs"):
            async with http.get(f"{url}/v1/sessions/{session['id']}{path}", headers=headers) as answered:
                seen.append(await answered.text())
        refresh = f"{url}/v1/sessions/{session['id']}/credentials:refresh"
        async with http.post(refresh, headers=headers) as answered:
            assert answered.status == 200
        async with http.get(f"{url}/v1/sessions", headers=headers) as answered:
            seen.append(await answered.text())
        own_path = {"PATH": "/bin:/usr/bin"}
        assert (await own.execute(session, "cat /tmp/trap", env=own_path))["exit_code"] != 0
        for kind in KINDS:
            listed = await kube.request("GET", f"/api/v1/namespaces/{target.namespace}/{kind}")
            seen.append(json.dumps(listed, ensure_ascii=False))
        assert session["pod_name"] in "".join(seen)
        main = await own.execute(
            session, "tr '\\0' '\\n' </proc/1/environ; cat /proc/1/cmdline", env=own_path
        )
        seen.append(main["stdout"])
        await own.delete(session)
    seen.append((tmp_path / "gateway.log").read_text())
    assert not [text for text in seen if word in text]


async def test_an_image_finds_the_chosen_credentials_and_no_others(client: Client) -> None:
    headers = {"X-Dev-User": client.user, "Content-Type": "application/json"}
    files = gam_files("hidden")

    async def put(name: str) -> None:
        path = f"{client.url}/v1/credentials/{name}"
        async with client.http.put(path, data=files[name], headers=headers) as answer:
            assert answer.status == 200

    await put("oauth2.txt")
    await put("oauth2service.json")
    look = f"ls ~/.gam; ls {MOUNTED} 2>/dev/null"
    for choice, first, then in (
        ([], [], []),
        (["client_secrets.json", "oauth2.txt"], ["oauth2.txt"], ["client_secrets.json", "oauth2.txt"]),
    ):
        session = await client.create(credentials=choice)
        assert (session["credentials"], session["credentials_choice"]) == (first, choice)
        assert (await client.execute(session, look))["stdout"].split() == [*first, *first]
        await put("client_secrets.json")
        path = f"{client.url}/v1/sessions/{session['id']}/credentials:refresh"
        async with client.http.post(path, headers=headers) as answer:
            assert (await answer.json())["copied"] == then
        assert (await client.execute(session, "ls ~/.gam"))["stdout"].split() == then
        await client.delete(session)
        async with client.http.delete(f"{client.url}/v1/credentials/client_secrets.json", headers=headers):
            pass
