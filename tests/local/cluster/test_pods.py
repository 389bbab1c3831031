"""What a pod finds inside, and what becomes of it, in both runtimes."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from local.cluster import LocalCluster
from tests.support.needs import needs

from .client import Client, pod_manifest, session_manifest, until

_PODS = "/api/v1/namespaces/rec/pods"


async def _start(client: Client, manifest: dict[str, Any]) -> None:
    await client.create(_PODS, manifest)
    await client.ready(str(manifest["metadata"]["name"]))


async def test_the_products_pod_has_its_folders_and_environment(
    client: Client, runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEVELOPERS_SECRET", "hunter2")
    secret = {"metadata": {"name": "keys"}, "stringData": {"oauth2.txt": "token"}}
    await client.create("/api/v1/namespaces/rec/secrets", secret)
    manifest = session_manifest("s1", "mkdir -p /workspace/made; sleep 3600 & wait")
    manifest["spec"]["volumes"].append({"name": "keys", "secret": {"secretName": "keys", "defaultMode": 256}})
    container = manifest["spec"]["containers"][0]
    container["volumeMounts"].append({"name": "keys", "mountPath": "/etc/gam/keys", "readOnly": True})
    container["env"].append(
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "oauth2.txt"}}}
    )
    await _start(client, manifest)
    wait = "until [ -d /workspace/made ]; do sleep 0.01; done"
    assert (await client.exec("s1", "timeout", "5", "sh", "-c", wait)).exit_code == 0
    assert (await client.exec("s1", "cat", "/etc/gam/keys/oauth2.txt")).stdout == b"token"
    shown = await client.exec("s1", "sh", "-c", "touch ~/here /tmp/too && ls /home/gam && echo $TOKEN")
    assert shown.stdout == b"here\ntoken\n"
    env = (await client.exec("s1", "env")).stdout.decode()
    assert "hunter2" not in env
    assert "HOSTNAME=s1\n" in env
    working_dir = (await client.exec("s1", "sh", "-c", "ls")).stdout
    assert working_dir == b"made\n"


@needs("namespaces")
async def test_in_namespaces_paths_users_and_processes_are_the_pods_own(client: Client) -> None:
    assert "in namespaces" in client.cluster.runtime_description
    await _start(client, session_manifest("s1", "exec sleep 3600"))
    session = await client.exec("s1", "sh", "-c", "pwd; id -u; tr '\\0' ' ' </proc/1/cmdline")
    assert session.stdout.decode().splitlines() == ["/workspace", "1000", "sleep 3600 "]
    read_only = await client.exec("s1", "sh", "-c", "touch /x || touch /usr/x || echo refused")
    assert read_only.stdout == b"refused\n"
    assert (
        "CapEff:\t0000000000000000" in (await client.exec("s1", "cat", "/proc/self/status")).stdout.decode()
    )


async def test_killing_pid_1_kills_everything_in_the_pod(client: Client, runtime: str) -> None:
    await _start(client, pod_manifest("p", "sh", "-c", "setsid sleep 31341 & echo up; exec sleep 31342"))
    await client.request("DELETE", f"{_PODS}/p", {"gracePeriodSeconds": 0})
    await client.until(f"{_PODS}?watch=1&resourceVersion=1", lambda event: event["type"] == "DELETED")
    await until(lambda: not _anybody_runs("31341") and not _anybody_runs("31342"))


def _anybody_runs(argument: str) -> bool:
    return any(_runs(process, argument) for process in Path("/proc").glob("[0-9]*"))


def _runs(process: Path, argument: str) -> bool:
    try:
        return argument.encode() in (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


async def test_an_image_is_a_folder_whose_path_comes_first(
    cluster: LocalCluster, client: Client, runtime: str
) -> None:
    folder = cluster.kubeconfig.parent.parent / "images" / "tool"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "greet").write_text("#!/bin/sh\necho greetings from $0\n")
    (folder / "bin" / "greet").chmod(0o755)
    image = {"names": ["gam-session:local"], "env": {"PATH": "bin", "EXTRA": "1"}}
    (folder / "image.json").write_text(json.dumps(image))
    await _start(client, session_manifest("s1", "exec sleep 3600", container={"image": "gam-session:local"}))
    session = await client.exec("s1", "greet")
    assert session.stdout.decode() == f"greetings from {folder}/bin/greet\n"
    assert (await client.exec("s1", "sh", "-c", "echo $EXTRA")).stdout == b"1\n"


async def test_logs_are_kept_tailed_timed_and_followed(client: Client, runtime: str) -> None:
    script = "echo one; echo two >&2; printf three; sleep 0.3; echo; echo four"
    await client.create(_PODS, pod_manifest("talk", "sh", "-c", script))
    followed = await client.request("GET", f"{_PODS}/talk/log?follow=true")
    if followed.status == 400:
        # The container had not been created yet.
        await client.pod_until("talk", lambda pod: pod["status"]["phase"] != "Pending")
        followed = await client.request("GET", f"{_PODS}/talk/log?follow=true")
    assert sorted(followed.body.splitlines()) == ["four", "one", "three", "two"]
    assert (await client.request("GET", f"{_PODS}/talk/log?tailLines=1")).body == "four\n"
    timed = (await client.request("GET", f"{_PODS}/talk/log?tailLines=1&timestamps=true")).body
    assert timed.partition(" ")[2] == "four\n"
    assert timed.startswith("20")
    missing = await client.request("GET", f"{_PODS}/talk/log?previous=true")
    assert missing.status == 400


async def test_init_containers_run_first_and_sidecars_run_together(client: Client, runtime: str) -> None:
    manifest = session_manifest("multi", "cat /workspace/made && exec sleep 3600")
    main = manifest["spec"]["containers"][0]
    helper = {**main, "name": "helper", "command": ["sh", "-c", "echo helping; exec sleep 3600"]}
    manifest["spec"]["containers"].append(helper)
    make = {**main, "name": "make", "command": ["sh", "-c", "echo content >/workspace/made"]}
    manifest["spec"]["initContainers"] = [make]
    await _start(client, manifest)
    pod = await client.get(f"{_PODS}/multi")
    assert pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
    assert [status["ready"] for status in pod["status"]["containerStatuses"]] == [True, True]
    unnamed = await client.request("GET", f"{_PODS}/multi/log")
    assert unnamed.status == 400
    assert "choose one of: [session helper]" in unnamed.body["message"]


async def test_a_failing_init_container_fails_the_pod(client: Client) -> None:
    manifest = session_manifest("bad", "sleep 3600")
    make = {**manifest["spec"]["containers"][0], "name": "make", "command": ["sh", "-c", "exit 4"]}
    manifest["spec"]["initContainers"] = [make]
    await client.create(_PODS, manifest)
    pod = await client.pod_until("bad", lambda pod: pod["status"]["phase"] == "Failed")
    assert pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 4


async def test_a_container_that_keeps_ending_is_restarted_then_held_back(
    client: Client, runtime: str
) -> None:
    await client.create(_PODS, pod_manifest("again", "sh", "-c", "echo run; exit 3", restartPolicy="Always"))

    def held_back(pod: dict[str, object]) -> bool:
        return "CrashLoopBackOff" in json.dumps(pod["status"])

    pod = await client.pod_until("again", held_back)
    status = pod["status"]["containerStatuses"][0]
    assert (pod["status"]["phase"], status["restartCount"]) == ("Running", 1)
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert status["state"]["waiting"]["message"].startswith(
        "back-off 10s restarting failed container=session"
    )
    reasons = {event["reason"] for event in await client.events_of("again", 5)}
    assert "BackOff" in reasons
    deleted = await client.request("DELETE", f"{_PODS}/again")
    assert deleted.status == 200
    await client.until(f"{_PODS}?watch=1&resourceVersion=1", lambda event: event["type"] == "DELETED")


async def test_sigterm_gives_the_main_process_its_chance(client: Client, runtime: str) -> None:
    script = "trap 'echo bye >/workspace/bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    manifest = session_manifest("polite", script)
    manifest["spec"]["terminationGracePeriodSeconds"] = 10
    await _start(client, manifest)
    await client.exec("polite", "true")
    await client.request("DELETE", f"{_PODS}/polite")
    seen = await client.until(f"{_PODS}?watch=1&resourceVersion=1", lambda event: event["type"] == "DELETED")
    ended = seen[-1]["object"]["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (0, "Completed")
    assert seen[-1]["object"]["status"]["phase"] == "Succeeded"


async def test_a_missing_secret_arrives_and_the_pod_starts(client: Client) -> None:
    manifest = pod_manifest("late", volumes=[{"name": "v", "secret": {"secretName": "later"}}])
    manifest["spec"]["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": "/v"}]
    await client.create(_PODS, manifest)
    await client.events_of("late", 2)
    data = {"key": base64.b64encode(b"value").decode()}
    await client.create("/api/v1/namespaces/rec/secrets", {"metadata": {"name": "later"}, "data": data})
    await client.ready("late")
    assert (await client.exec("late", "cat", "/v/key")).stdout == b"value"


async def test_a_pod_waits_for_a_node_that_fits(client: Client) -> None:
    await client.create(_PODS, pod_manifest("picky", nodeSelector={"disk": "ssd"}))
    pod = await client.pod_until("picky", lambda pod: bool(pod["status"].get("conditions")))
    condition = pod["status"]["conditions"][0]
    assert (condition["reason"], condition["status"]) == ("Unschedulable", "False")
    assert "didn't match Pod's node affinity/selector" in condition["message"]
    await client.request(
        "PATCH",
        "/api/v1/nodes/local",
        {"metadata": {"labels": {"disk": "ssd"}}},
        content_type="application/merge-patch+json",
    )
    await client.ready("picky")


async def test_the_deadline_may_be_brought_forward(client: Client) -> None:
    await _start(client, session_manifest("short", "exec sleep 3600"))
    patch = {"spec": {"activeDeadlineSeconds": 1}}
    answer = await client.request(
        "PATCH", f"{_PODS}/short", patch, content_type="application/merge-patch+json"
    )
    assert answer.status == 200
    pod = await client.pod_until("short", lambda pod: pod["status"].get("reason") == "DeadlineExceeded")
    assert pod["status"]["phase"] == "Failed"
    longer = {"spec": {"activeDeadlineSeconds": 900}}
    refused = await client.request(
        "PATCH", f"{_PODS}/short", longer, content_type="application/merge-patch+json"
    )
    assert refused.status == 422


async def test_deleting_a_namespace_ends_its_pods(client: Client) -> None:
    await _start(client, pod_manifest("p"))
    await client.request("DELETE", "/api/v1/namespaces/rec")
    watch = "/api/v1/namespaces?watch=1&fieldSelector=metadata.name%3Drec&resourceVersion=1"
    await client.until(watch, lambda event: event["type"] == "DELETED")
    assert (await client.get("/api/v1/pods"))["items"] == []
    refused = await client.request("POST", _PODS, pod_manifest("q"))
    assert refused.status == 404
