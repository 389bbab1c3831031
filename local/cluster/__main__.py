"""Command line: ``python -m local.cluster [--port 0] [--dir DIR] [--images DIR]``."""

import argparse
import asyncio
import logging
import os
import shlex
import signal
import sys
from pathlib import Path

from .cluster import LocalCluster

_WARNING = (
    "This is a development tool: it isolates nothing. Pods run as you, with your files and your network."
)


def main() -> int:
    """Run the cluster until it is told to stop.

    Returns:
        The process's exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m local.cluster", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1; 0 takes a free one")
    parser.add_argument(
        "--dir", type=Path, default=Path(".local/cluster"), help="folder for certificates and pods"
    )
    parser.add_argument("--images", type=Path, help="folder of images, each a subfolder with image.json")
    parser.add_argument("--no-namespaces", action="store_true", help="run containers as plain process groups")
    parser.add_argument(
        "--until-eof", action="store_true", help="end when standard input does: with whoever started it"
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(_serve(arguments))
    except (OSError, RuntimeError) as error:
        print(f"The local cluster cannot start: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    if arguments.until_eof:
        loop.add_reader(sys.stdin, lambda: None if os.read(sys.stdin.fileno(), 4096) else stop.set())
    namespaces = not arguments.no_namespaces
    async with LocalCluster(
        arguments.dir, arguments.images, port=arguments.port, namespaces=namespaces
    ) as cluster:
        print(f"Local Kubernetes API at {cluster.url}", file=sys.stderr)
        print(f"Containers run as {cluster.runtime_description}", file=sys.stderr)
        print(_WARNING, file=sys.stderr)
        print(f"export KUBECONFIG={shlex.quote(str(cluster.kubeconfig))}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    sys.exit(main())
