"""Which installation something in a cluster belongs to. Several installations may share a namespace.

An installation is a store: it makes an id once, and every object that it makes in a cluster carries it.
Nobody touches an object of another installation.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection
from typing import Protocol

from shared.core.changes import changed
from shared.core.clusters.model import DEFAULT, KnownConnection
from shared.core.clusters.ports import ConnectionStore

_ID = re.compile(r"[0-9a-z]{1,32}")
_MOST_NEIGHBOURS = 16
_TRIES = 8


def is_installation_id(text: str) -> bool:
    """Whether a text can be an installation's id."""
    return _ID.fullmatch(text) is not None


class Installation(Protocol):
    """Says which installation this is. Raises ``StoreUnavailable`` when the store does not answer."""

    async def id(self) -> str:
        """The installation's id: a Kubernetes label value that is never made again, and part of names."""
        ...


async def id_of(installation: Installation | None) -> str:
    """The installation's id; empty where there is only one installation, which needs none."""
    return "" if installation is None else await installation.id()


def is_foreign(made_by: str, own: str) -> bool:
    """Whether an object is another installation's.

    Args:
        made_by: The installation that the object names; empty: an earlier release made it, for anybody.
        own: The answer of ``id_of``.
    """
    return own != "" and made_by not in ("", own)


class Neighbours:
    """Notes the other installations in the namespace, for those who may not look into the cluster.

    Args:
        connections: Keeps the note, in the document of the connection that the settings name.
    """

    def __init__(self, connections: ConnectionStore) -> None:
        self._connections = connections

    async def note(self, met: Collection[str]) -> None:
        """Notes which others were met in a look at the whole namespace; those that were not met are gone.

        Args:
            met: The ids in the labels of others' objects. Whoever made these may have written anything.
        """
        others = tuple(sorted(one for one in met if is_installation_id(one)))[:_MOST_NEIGHBOURS]

        async def write(known: KnownConnection | None) -> None:
            if known is not None and known.other_installations != others:
                await self._connections.put(dataclasses.replace(known, other_installations=others))

        busy = "the connection's document is"
        await changed(lambda: self._connections.get(DEFAULT), write, tries=_TRIES, busy=busy)
