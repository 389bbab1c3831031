"""The command line: start, stop, and being killed."""

import asyncio
import signal
import ssl
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from local.cluster import LocalCluster

from .client import DEADLINE_S, Client, pod_manifest, until

_ROOT = Path(__file__).parents[3]


async def start(folder: Path, *arguments: str) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local.cluster", "--dir", str(folder), *arguments),
        cwd=_ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), DEADLINE_S)
    return process, line.decode().strip()


async def run_pod(folder: Path, marker: str, volumes: Sequence[dict[str, Any]] = ()) -> None:
    """Start a pod through the kubeconfig that the cluster wrote; each volume is mounted below ``/mnt``."""
    config = yaml.safe_load((folder / "kubeconfig").read_text())
    entry = config["clusters"][0]["cluster"]
    context = ssl.create_default_context(cafile=entry["certificate-authority"])
    headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}"}
    pods = f"{entry['server']}/api/v1/namespaces/default/pods"
    script = f"setsid sleep {marker} & exec sleep {marker}"
    async with aiohttp.ClientSession(headers=headers) as session:
        manifest = pod_manifest("p", "sh", "-c", script)
        mounts = [{"name": volume["name"], "mountPath": f"/mnt/{volume['name']}"} for volume in volumes]
        manifest["spec"]["volumes"] = list(volumes)
        manifest["spec"]["containers"][0]["volumeMounts"] = mounts
        async with session.post(pods, json=manifest, ssl=context) as answer:
            assert answer.status == 201
        async with session.get(f"{pods}?watch=1", ssl=context) as answer, asyncio.timeout(DEADLINE_S):
            async for line in answer.content:
                if b'"phase":"Running"' in line:
                    break
    await until(lambda: len(_processes(marker)) == 2)


def _processes(marker: str) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes() == f"sleep\0{marker}\0".encode():
                found.append(int(process.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("arguments", [(), ("--no-namespaces",)])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_no_pod_outlives_the_cluster(tmp_path: Path, number: int, arguments: tuple[str, ...]) -> None:
    marker = str(31400 + number + 100 * len(arguments))
    process, _ = await start(tmp_path / "c", *arguments)
    await run_pod(tmp_path / "c", marker)
    process.send_signal(number)
    _, errors = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    assert process.returncode == (-number if number == signal.SIGKILL else 0)
    await until(lambda: not _processes(marker))
    assert b"isolates nothing" in errors
    assert b"Traceback" not in errors


async def test_it_prints_what_to_export_and_keeps_secrets_private(tmp_path: Path) -> None:
    process, line = await start(tmp_path / "c")
    assert line == f"export KUBECONFIG={tmp_path / 'c' / 'kubeconfig'}"
    for name in ("kubeconfig", "ca.key", "server.key"):
        assert stat.S_IMODE((tmp_path / "c" / name).stat().st_mode) == 0o600
    process.terminate()
    await process.communicate()


async def test_the_authority_survives_a_restart_the_token_does_not(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as first:
        authority, token = first.ca_file.read_bytes(), first.token
    async with LocalCluster(tmp_path) as second:
        assert second.ca_file.read_bytes() == authority
        assert second.token != token


async def test_one_cluster_per_folder(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path):
        with pytest.raises(RuntimeError, match="another local cluster"):
            async with LocalCluster(tmp_path):
                pass


async def test_it_listens_on_loopback_only(client: Client) -> None:
    assert client.cluster.url.startswith("https://127.0.0.1:")
    port = int(client.cluster.url.rpartition(":")[2])
    with pytest.raises(OSError, match=r"Connect call failed|Cannot assign"):
        await asyncio.open_connection("127.0.0.2", port)


def _names_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


async def test_its_files_stay_in_its_folder(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path / "c"):
        pass
    assert _names_below(tmp_path) == [
        "c",
        "ca.crt",
        "ca.key",
        "id",
        "kubeconfig",
        "lock",
        "server.crt",
        "server.key",
        "unprivileged.kubeconfig",
    ]
