"""Containers as process groups: mounted paths wherever a shell meets them, whatever the folder is called."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from local.cluster import LocalCluster
from local.cluster.runtime.rewriting import Rewriter
from local.cluster.streams.descriptors import Descriptor, pipe
from local.cluster.streams.firstline import FirstLine
from shared.core.commands import Command
from shared.kube.exec.end_mark import end_mark
from shared.kube.exec.supervisor import command_line, supervisor_argv
from tests.support.laptop import ROOT
from tests.support.needs import needs

from .client import Client, session_manifest, until
from .test_main import run_pod, start


@pytest.fixture(params=["plain", "a folder's ü $HOME"])
async def client(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """A client of a cluster in a folder of this name, with a session's pod in it."""
    async with (
        LocalCluster(tmp_path / str(request.param), namespaces=False) as cluster,
        aiohttp.ClientSession() as http,
    ):
        made = Client(cluster, http)
        await made.create("/api/v1/namespaces", {"metadata": {"name": "rec"}})
        await made.create("/api/v1/namespaces/rec/pods", session_manifest("s1", "exec sleep 3600"))
        await made.ready("s1")
        yield made


async def _nothing() -> AsyncIterator[bytes]:
    for piece in list[bytes]():
        yield piece


async def test_folder_and_words_of_a_supervised_command_are_the_pods(client: Client) -> None:
    word = "it's here: /workspace/x, not /my/workspace"
    script = 'echo "$1" >/workspace/x; [ "$(pwd -P)" = "$(cd /workspace; pwd -P)" ] && cat x'
    argv = ("sh", "-c", script, "-", word)
    command = Command(argv=argv, timeout_seconds=60, stdin=_nothing(), workdir="/workspace")
    ended = await client.exec("s1", *supervisor_argv("tag"), stdin=command_line(command))
    assert ended.stdout.startswith(b"it's here: ")
    assert ended.stdout.endswith(b"/x, not /my/workspace\n" + end_mark("tag", 0))


async def test_input_that_nothing_evaluates_is_data(client: Client) -> None:
    data = b"/workspace/x\n/home/gam\n"
    assert (await client.exec("s1", "cat", stdin=data)).stdout == data


async def test_a_first_line_is_rewritten_wherever_it_is_cut() -> None:
    rewrite = Rewriter({"/workspace": Path("/pods/1")}).in_bytes
    data = b"cd /workspace/\xff\n/workspace\n"
    for cut in range(len(data) + 1):
        reader, writer = pipe(parent_reads=True)
        first = FirstLine(Descriptor(writer), rewrite)
        for piece in (data[:cut], data[cut:]):
            await first.write(memoryview(piece))
        first.close()
        with open(reader, "rb") as written:  # noqa: ASYNC230, PTH123 - all is there
            assert await asyncio.to_thread(written.read) == b"cd /pods/1/\xff\n/workspace\n"


def links_into(folder: Path) -> list[Path]:
    """Links that lead into a folder whose name no shell takes unquoted."""
    return [link for link in Path("/tmp").glob("pods-*/link") if link.readlink().is_relative_to(folder)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_no_link_outlives_the_cluster(tmp_path: Path, number: int) -> None:
    folder = tmp_path / "a folder's ü"
    process, _ = await start(folder, "--no-namespaces")
    await run_pod(folder, f"3160{number}", volumes=[{"name": "work", "emptyDir": {}}])
    (link,) = links_into(folder)
    process.send_signal(number)
    await process.communicate()
    await until(lambda: not link.parent.exists())


@needs("proc")
def test_where_namespaces_are_refused_nobody_can_signal_the_machines_own_processes() -> None:
    """Signal 0 asks only whether one would be allowed."""
    alone = [sys.executable, "-m", "tests.support.without_namespaces", sys.executable, "-c"]
    for asked in ("os.kill(1, 0)", "os.kill(-1, 0)"):
        code = f"import os\ntry: {asked}\nexcept PermissionError: print('refused')"
        ran = subprocess.run([*alone, code], cwd=ROOT, capture_output=True, text=True, check=False)
        assert ran.stdout == "refused\n", (asked, ran)
    code = "import os; os.kill(os.getpid(), 0); os.kill(0, 0); print('allowed')"
    ran = subprocess.run([*alone, code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.stdout == "allowed\n", ran
