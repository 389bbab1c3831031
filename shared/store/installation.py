"""The installation's id, made once and kept: the first process that asks for it makes it."""

from __future__ import annotations

import dataclasses
import secrets
from typing import Any

from shared.core.clusters.installation import is_installation_id
from shared.store import documents
from shared.store.engine import Collection, Engine
from shared.store.repository import Present, Repository

INSTALLATION = Collection(name="installation")

_ONLY = "this"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """The one document of the collection."""

    id: str
    installation: str
    version: str = ""


class StoredInstallation:
    """An ``Installation`` that is a store; the id is read once in a process.

    Args:
        engine: Keeps the document.
    """

    def __init__(self, engine: Engine) -> None:
        self._known = ""
        self._documents = Repository(
            engine,
            INSTALLATION,
            "installation",
            id_of=lambda kept: kept.id,
            document=lambda kept: documents.document_of(kept, kept.id),
            read=_kept_from,
        )

    async def id(self) -> str:
        """See ``Installation``."""
        if not self._known:
            kept = await self._documents.get(_ONLY)
            if kept is None:
                try:
                    kept = await self._documents.create(_Kept(id=_ONLY, installation=secrets.token_hex(5)))
                except Present as present:
                    kept = self._documents.value(present.found)
            self._known = kept.installation
        return self._known


def _kept_from(document: Any, version: str) -> _Kept:
    with documents.reading("installation"):
        kept = _Kept(**documents.values_of(_Kept, document, version))
        if not is_installation_id(kept.installation):
            raise ValueError("no installation has this id")
        return kept
