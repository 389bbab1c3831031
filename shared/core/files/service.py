"""The use cases of a session's files: store, unpack, read, list, pack, delete.

Short scripts (in this folder) do all of the work in the session's pod. They run through the same port as
commands, so files too get supervision, backpressure, and an end when the caller leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Literal, TypeAlias

from shared.core.audit.auditor import Act, Auditor, outcome_of
from shared.core.files.download import FileFacts, OpenFile, begun
from shared.core.files.listing import Entry, first_entries
from shared.core.files.packed import PackedFolder
from shared.core.files.paths import WorkspacePath
from shared.core.files.script_output import Answer
from shared.core.files.scripts import Script, script_command
from shared.core.files.sending import send
from shared.core.files.unpack import NO_PLAN, FolderUpload, Unpacked
from shared.core.files.upload import NO_HASH, Body, Piece, Progress, Stored, Upload, read_result, too_large
from shared.core.held import Held
from shared.core.person import Person
from shared.core.sessions.access import SessionAccess
from shared.core.sessions.model import Session
from shared.errors import Conflict, TransferFailed
from shared.reasons import Reason

Action: TypeAlias = Literal["put", "unpack", "get", "list", "archive", "delete"]

_OPEN_SECONDS = 60.0
"""Opening a file is quick, but a pipe that no process writes to may have just replaced the file."""


class SessionFiles:
    """Files in callers' sessions. While it lasts, each request is one of the owner's streams.

    Args:
        access: Finds the sessions that a caller may use.
        audit: Records every transfer and deletion.
        timeout_seconds: Longest time that one request may take in the pod.
        max_bytes: Size in bytes of the largest file, and of the largest content of a tar.
        held: Counts the bytes that are held of pods' answers; None: they are not counted.
    """

    def __init__(
        self,
        *,
        access: SessionAccess,
        audit: Auditor,
        timeout_seconds: float,
        max_bytes: int,
        held: Held | None = None,
    ) -> None:
        self._held = held
        self._access = access
        self._audit = audit
        self._timeout_seconds = timeout_seconds
        self._max_bytes = max_bytes

    async def put(
        self, owner: Person, session_id: str, path: WorkspacePath, body: Body, piece: Piece | None = None
    ) -> Stored | Progress:
        """Stores a file, or adds a piece to a resumable upload.

        Args:
            owner: The caller.
            session_id: The session.
            path: Path of the file; folders are made. A file that is there stays until the new one is whole.
            body: The bytes that the caller sends.
            piece: Which part of the file the body is; None: the whole file.

        Returns:
            The file, once the pod has read it back and computed the same hash as we; or how much of a
            resumable upload is there.

        Raises:
            NotFound: No such session, or its pod is lost.
            Conflict: The session is not running, or a folder is in the way.
            PayloadTooLarge: The file is larger than ``max_bytes``.
            InsufficientStorage: The session's disk is full.
            InvalidRequest: The body is not what the caller announced.
            TransferFailed: The transfer failed. Nothing has changed, unless only the final answer was lost.
        """
        session = await self._session(owner, session_id)
        announced = piece.total if piece is not None else body.length
        if announced is not None and announced > self._max_bytes:
            raise too_large(self._max_bytes)
        described = piece.arguments(path) if piece is not None else [""] * 4
        asks_only = piece is not None and piece.first is None
        upload = Upload(body, self._max_bytes)
        async with self._act(session, owner, "put", path) as act:
            known = ["", ""] if asks_only else await upload.begin()
            arguments = [secrets.token_hex(8), *described, *known, *path.name_first()]

            async def run(stdin: AsyncIterator[bytes] | None) -> Answer:
                return await self._run(session, path, "put", *arguments, stdin=stdin)

            result = read_result(await send(run, None if asks_only else upload.sealed(), NO_HASH))
            if piece is None and not (isinstance(result, Stored) and upload.accepts(result)):
                raise TransferFailed("what the pod stored is not what was sent", path=str(path))
            act.detail["size"] = result.size
            if isinstance(result, Stored):
                act.detail["sha256"] = result.sha256
        return result

    async def unpack(self, owner: Person, session_id: str, path: WorkspacePath, body: Body) -> Unpacked:
        """Stores the files of a tar in a folder.

        Args:
            owner: The caller.
            session_id: The session.
            path: The folder, which is made. Its other files stay.
            body: The tar.

        Returns:
            What was unpacked, once the pod has read all of it back, computed the same hashes as we, and moved
            each file to its place.

        Raises:
            NotFound: No such session, or its pod is lost.
            Conflict: The session is not running, or something is in the way; nothing has changed.
            PayloadTooLarge: The tar holds more than ``max_bytes``; nothing has changed.
            InsufficientStorage: The session's disk is full.
            InvalidRequest: The body is no tar of files and folders, or not what was announced; nothing has
                changed.
            TransferFailed: The transfer failed; some files may have been replaced, none in part.
        """
        session = await self._session(owner, session_id)
        upload = FolderUpload(body, path, self._max_bytes)
        arguments = [secrets.token_hex(8), *path.parts]
        async with self._act(session, owner, "unpack", path) as act:

            async def run(stdin: AsyncIterator[bytes] | None) -> Answer:
                return await self._run(session, path, "unpack", *arguments, stdin=stdin)

            result = upload.result(await send(run, upload.script(), NO_PLAN))
            act.detail |= {"files": result.files, "size": result.size, "sha256": result.sha256}
        return result

    async def open(self, owner: Person, session_id: str, path: WorkspacePath) -> OpenFile:
        """Opens a file in the pod.

        Raises:
            NotFound: No such session or file.
            Conflict: The session is not running, or the path is that of no file.
            PermissionDenied: The path leads out of the workspace, or the file may not be read.
        """
        session = await self._session(owner, session_id)
        wish: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        answer = await self._run(session, path, "read", *path.name_first(), stdin=_once(wish), counted=True)
        try:
            facts = await _facts(answer, path)
        except BaseException as error:
            await answer.aclose()
            await self._audit.record(session, owner, "session.file.get", outcome_of(error), path=str(path))
            raise

        async def record(outcome: str, size: int) -> None:
            await self._access.touch(session)
            await self._audit.record(session, owner, "session.file.get", outcome, path=str(path), size=size)

        return OpenFile(answer, facts, wish, record)

    async def entries(
        self, owner: Person, session_id: str, path: WorkspacePath, *, limit: int, after: bytes
    ) -> tuple[Sequence[Entry], bool]:
        """A page of a folder's entries, in the order of their names' bytes.

        Args:
            owner: The caller.
            session_id: The session.
            path: The folder.
            limit: Most entries.
            after: The page begins behind this name.

        Returns:
            The entries, and whether there are more.

        Raises:
            NotFound: No such session or folder.
            Conflict: The session is not running, or the path is that of no folder.
        """
        session = await self._session(owner, session_id)
        async with self._act(session, owner, "list", path):
            answer = await self._run(session, path, "list", *path.parts)
            try:
                await answer.line()
                found = await first_entries(answer.chunks(), limit=limit + 1, after=after)
            finally:
                await answer.aclose()
        return found[:limit], len(found) > limit

    async def archive(
        self, owner: Person, session_id: str, path: WorkspacePath
    ) -> AsyncGenerator[bytes, None]:
        """A folder as a tar, made by the tar of the pod's image. It is passed on and never unpacked here.

        What that tar cannot read, and what changes under it, is listed in a last entry, ``LIST_NAME``.

        Raises:
            NotFound: No such session or folder.
            Conflict: The session is not running, or the path is that of no folder.
            TransferFailed: (while iterating) The tar broke off: the pod's tar did, or the connection.
        """
        session = await self._session(owner, session_id)
        return await begun(self._packed(session, owner, path))

    async def delete(self, owner: Person, session_id: str, path: WorkspacePath) -> None:
        """Removes a file, a link, or an empty folder.

        Raises:
            NotFound: No such session or file.
            Conflict: The session is not running, or the folder is not empty.
        """
        session = await self._session(owner, session_id)
        async with self._act(session, owner, "delete", path):
            answer = await self._run(session, path, "delete", *path.name_first())
            try:
                await answer.line()
                await answer.end_quietly()
            finally:
                await answer.aclose()

    async def _packed(
        self, session: Session, owner: Person, path: WorkspacePath
    ) -> AsyncGenerator[bytes, None]:
        async with self._act(session, owner, "archive", path) as act:
            answer = await self._run(session, path, "archive", *path.parts)
            sent, packed = 0, PackedFolder()
            try:
                await answer.line()
                yield b""
                async for data in packed.pieces(answer):
                    sent += len(data)
                    yield data
                if packed.incomplete:
                    act.outcome = "incomplete"
            finally:
                act.detail["size"] = sent
                await answer.aclose()

    async def _session(self, owner: Person, session_id: str) -> Session:
        session = await self._access.running(owner, session_id)
        if session.virtual:
            raise Conflict(
                "a virtual session has no pod and no files", reason=Reason.SESSION_VIRTUAL, session=session.id
            )
        return session

    async def _run(
        self,
        session: Session,
        path: WorkspacePath,
        script: Script,
        *arguments: str,
        stdin: AsyncIterator[bytes] | None = None,
        counted: bool = False,
    ) -> Answer:
        """Runs a script; ``counted``: it is a stream of the owner's until its answer is closed."""
        command = script_command(script, *arguments, timeout_seconds=self._timeout_seconds, stdin=stdin)
        events = (await self._access.pods.of(session)).execute(session, command)
        if counted:
            events = self._access.streams.counted(session.owner, events)
        return Answer(events, str(path), self._held)

    @contextlib.asynccontextmanager
    async def _act(
        self, session: Session, owner: Person, action: Action, path: WorkspacePath
    ) -> AsyncGenerator[Act, None]:
        act = self._audit.act(session, owner, f"session.file.{action}", {"path": str(path)})
        async with self._access.used(session), act:
            # Counted from here on, and not only while the script runs: a caller may send slowly.
            with self._access.streams.taken(session.owner):
                yield act


async def _facts(answer: Answer, path: WorkspacePath) -> FileFacts:
    """Reads the facts about the file that the script has opened.

    Raises:
        GamguiError: The script says why it has not opened the file, or says nothing in time.
    """
    try:
        async with asyncio.timeout(_OPEN_SECONDS):
            return FileFacts.read(" ".join(await answer.line()))
    except TimeoutError as error:
        raise TransferFailed("the file cannot be opened", path=str(path)) from error


async def _once(wish: asyncio.Future[bytes]) -> AsyncGenerator[bytes, None]:
    yield await wish
