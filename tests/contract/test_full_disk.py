"""A session whose disk is full: its own answer, and what is there stays."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from shared.kube.api.client import KubeApi
from shared.kube.pods.diagnosis import CONTAINER
from tests.contract.conftest import Target, gateway_settings
from tests.support import laptop
from tests.support.client import Client
from tests.support.files_client import Files, in_pieces
from tests.support.needs import needs_here
from tests.support.tars import tar_of

pytestmark = needs_here("namespaces")

MIB = 1024 * 1024
SMALL_MIB = 24
_IN_A_SMALL_DISK = 'mount -t tmpfs -o size={}m tmpfs "$1" && shift && exec "$@"'


@contextlib.contextmanager
def local_cluster_on_a_small_disk(folder: Path) -> Iterator[str]:
    """The local cluster in a mount namespace in which its folder is small.

    Yields:
        Path of a copy of its kubeconfig.
    """
    disk = folder / "disk"
    disk.mkdir()
    starter = folder / "start.py"
    starter.write_text(
        "import os, sys\n"
        "os.execvp('unshare', ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c',\n"
        f"    {_IN_A_SMALL_DISK.format(SMALL_MIB)!r}, 'sh', {str(disk)!r},\n"
        f"    sys.executable, '-m', 'local.cluster', '--dir', {str(disk / 'cluster')!r}])\n"
    )
    environment = laptop.base_environment()
    running = laptop.process([str(starter)], environment, "export KUBECONFIG=", folder / "cluster.log")
    with running as (process, _):
        seen_from_here = f"/proc/{process.pid}/root{disk}"
        copy = folder / "kubeconfig"
        written = Path(f"{seen_from_here}/cluster/kubeconfig").read_text()
        copy.write_text(written.replace(str(disk), seen_from_here))
        yield str(copy)


def _template(namespace: str, name: str) -> dict[str, object]:
    """A small disk in the workspace of a real pod."""
    volume = {"name": "small", "emptyDir": {"medium": "Memory", "sizeLimit": f"{SMALL_MIB}Mi"}}
    mount = {"name": "small", "mountPath": "/workspace/small"}
    spec = {"containers": [{"name": CONTAINER, "image": "x", "volumeMounts": [mount]}], "volumes": [volume]}
    return {
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {"name": name, "namespace": namespace},
        "template": {"metadata": {}, "spec": spec},
    }


@pytest.fixture
async def small(
    target: Target, http: aiohttp.ClientSession, kube: KubeApi, tmp_path: Path
) -> AsyncIterator[Files]:
    """The files of a session in which ``small/`` is on a small disk."""
    real = os.environ.get("CONTRACT_CLUSTER") == "real"
    settings = gateway_settings(target, tmp_path)
    template = f"small-{secrets.token_hex(4)}"
    with contextlib.ExitStack() as stack:
        if real:
            settings["K8S_POD_TEMPLATE"] = template
        else:
            settings["KUBECONFIG"] = stack.enter_context(local_cluster_on_a_small_disk(tmp_path))
            settings |= {"K8S_SERVICE_ACCOUNT": "", "K8S_POD_TEMPLATE": ""}  # a cluster with nothing in it
        _, url = stack.enter_context(laptop.gateway(tmp_path / "gateway.log", **settings))
        client = Client(http, url, "full@example.com")
        await client.call("GET", "/healthz")  # it serves when it has made the namespace
        if real:
            path = f"/api/v1/namespaces/{target.namespace}/podtemplates"
            await kube.request("POST", path, body=_template(target.namespace, template))
        session = await client.create()
        yield Files(client, session)
        await client.delete(session)


async def test_a_full_disk_has_its_own_answer_and_nothing_is_lost_or_left(small: Files) -> None:
    await small.put("small/file", b"old")
    full = await small.put("small/file", in_pieces(b"x" * (SMALL_MIB * MIB)))
    assert (full.status, full.json["reason"]) == (507, "DISK_FULL")
    assert (await small.get("small/file")).body == b"old"
    assert await small.sh("ls -A small") == "file\n"
    fits = await small.put("small/file", in_pieces(b"x" * (SMALL_MIB * MIB // 4)))
    assert fits.status == 200


async def test_a_tar_that_finds_no_room_changes_nothing(small: Files) -> None:
    await small.put("small/file", b"old")
    for size in (SMALL_MIB * MIB, 100_000):  # one file that is too large, many that are too many
        content = {f"{number}/x": b"x" * size for number in range(SMALL_MIB * MIB // size + 1)}
        full = await small.unpack("small/", in_pieces(tar_of({"file": b"new", **content})))
        assert (full.status, full.json["reason"]) == (507, "DISK_FULL")
        assert await small.sh("ls -A small; cat small/file") == "file\nold"


async def test_a_piece_that_finds_no_room_can_be_sent_again_when_there_is_some(small: Files) -> None:
    total = SMALL_MIB * MIB // 2
    half = total // 2
    upload = {"Upload_Id": "a"}
    where = f"bytes 0-{half - 1}/{total}"
    await small.put("small/file", in_pieces(b"a" * half), Content_Range=where, **upload)
    await small.sh("cat /dev/zero >small/ballast 2>/dev/null || :")
    where = f"bytes {half}-{total - 1}/{total}"
    full = await small.put("small/file", in_pieces(b"b" * half), Content_Range=where, **upload)
    assert (full.status, full.json["reason"]) == (507, "DISK_FULL")
    await small.sh("rm small/ballast")
    assert (await small.put("small/file", b"", Content_Range=f"bytes */{total}", **upload)).next_byte == half
    done = await small.put("small/file", in_pieces(b"b" * half), Content_Range=where, **upload)
    assert (done.status, done.json["size"]) == (201, total)
