"""Gives every pod an address of its own, on which its processes can listen.

On Linux every address of 127.0.0.0/8 is this machine's. Elsewhere all pods have the machine's one address.
"""

import random
import socket
import sys
from typing import Self

from ..objects import Object

HOST_IP = "127.0.0.1"
# 127.0.0.0/16 and 127.1.0.0/16 have addresses that others use, such as the machine's name.
_NETWORKS = range(16, 255)
_LAST = 2**16 - 3
# Whoever has this port on the last address of a network has the network.
_PORT = 46254


class Addresses:
    """A network of the machine's own addresses, which no other cluster on the machine uses meanwhile.

    Use it as a context manager.
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._network = 0
        self._last = 0
        self._of: dict[str, str] = {}
        self._taken: set[str] = set()

    def __enter__(self) -> Self:
        """Take a network that is free."""
        if sys.platform == "linux":
            for network in random.sample(_NETWORKS, len(_NETWORKS)):
                holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                try:
                    holder.bind((f"127.{network}.255.254", _PORT))
                except OSError:
                    holder.close()
                    continue
                self._socket, self._network = holder, network
                break
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the network to others."""
        if self._socket is not None:
            self._socket.close()

    def of(self, pod: Object) -> str:
        """Return the address of a pod, which it keeps until it is released.

        A pod in the network of its node has the node's address, and so has every pod where there is no
        network.
        """
        if self._socket is None or pod["spec"].get("hostNetwork"):
            return HOST_IP
        uid = pod["metadata"]["uid"]
        if uid not in self._of:
            while True:
                self._last = self._last % _LAST + 1
                address = f"127.{self._network}.{self._last >> 8}.{self._last & 255}"
                if address not in self._taken:
                    break
            self._of[uid] = address
            self._taken.add(address)
        return self._of[uid]

    def release(self, pod: Object) -> None:
        """Give a pod's address back."""
        self._taken.discard(self._of.pop(pod["metadata"]["uid"], ""))
