"""A session's files over HTTP."""

from __future__ import annotations

import base64
import binascii
import email.utils
import re
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from shared.core.files.download import OpenFile
from shared.core.files.listing import Entry
from shared.core.files.paths import WorkspacePath
from shared.core.files.service import SessionFiles
from shared.core.files.upload import Body, Piece, Progress
from shared.errors import InvalidRequest, NotFound, UnsupportedMediaType
from shared.reasons import Reason
from shared.web.http.call import Call
from shared.web.http.encoding import as_json
from shared.web.http.paging import page_size, single_values
from shared.web.http.ranges import byte_range, content_range, digest_header, names_tag, sha256_of
from shared.web.http.streaming import StreamedResponse

MAX_PAGE = 1000
_DEFAULT_PAGE = 200
_TAR = "application/x-tar"
_UPLOAD_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

# A browser must not take a file that somebody has stored for a page of ours.
_INERT = {
    "Content-Type": "application/octet-stream",
    "Content-Disposition": "attachment",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-cache",
}


async def put_file(call: Call, files: SessionFiles) -> Response:
    """Stores the body: 201 for a new file, 200 for one replaced, 308 for a piece that others must follow.

    If the path is a folder's, the body is a tar and is unpacked.
    """
    single_values(call.request.query_params, ())
    path = _path(call)
    if path.folder:
        return await _unpack(call, files, path)
    piece, body = _upload(call)
    result = await files.put(call.caller, call.params["session_id"], path, body, piece)
    if isinstance(result, Progress):
        # Resumable uploads of Google Cloud Storage do so too; their 308 is older than RFC 7538.
        held = {"Range": f"bytes=0-{result.size - 1}"} if result.size else {}
        return Response(status_code=308, headers=held)
    stored = {"path": str(path), "size": result.size, "sha256": result.sha256}
    return JSONResponse(stored, status_code=201 if result.created else 200)


async def _unpack(call: Call, files: SessionFiles, path: WorkspacePath) -> Response:
    headers = call.request.headers
    if headers.get("content-type", "").partition(";")[0].strip().lower() != _TAR:
        raise InvalidRequest(
            f"a file's path has no slash at its end, and a folder is put as {_TAR}",
            reason=Reason.INVALID_PATH,
            field="path",
        )
    if "content-range" in headers:
        raise InvalidRequest(
            "a tar cannot be sent in pieces; send several", reason=Reason.INVALID_FIELD, field="Content-Range"
        )
    body = Body(source=_received(call), digests=set(_digests(call)))
    result = await files.unpack(call.caller, call.params["session_id"], path, body)
    unpacked = {
        "path": str(path),
        "files": result.files,
        "folders": result.folders,
        "size": result.size,
        "sha256": result.sha256,
    }
    return JSONResponse(unpacked, status_code=201 if result.created else 200)


async def get_file(call: Call, files: SessionFiles) -> Response:
    """Sends a file or a part of it, lists a folder, or packs it."""
    query = single_values(call.request.query_params, ("list", "page_size", "page_token"))
    listing = query.get("list", "false")
    if listing not in ("true", "false"):
        raise InvalidRequest("list is neither true nor false", reason=Reason.INVALID_FIELD, field="list")
    path = _path(call)
    if listing == "true":
        return await _list(call, files, path, query)
    if _TAR in call.request.headers.get("accept", "").lower():
        packed = await files.archive(call.caller, call.params["session_id"], path)
        return StreamedResponse(packed, status_code=200, headers={**_INERT, "Content-Type": _TAR})
    file = await files.open(call.caller, call.params["session_id"], path)
    try:
        return await _content(call, file)
    except BaseException:
        await file.aclose()
        raise


async def head_file(call: Call, files: SessionFiles) -> Response:
    """Answers with the headers of a file, without reading its content."""
    single_values(call.request.query_params, ())
    file = await files.open(call.caller, call.params["session_id"], _path(call))
    await file.aclose()
    if _is_known(call, file):
        return Response(status_code=304, headers=_about(file))
    return Response(headers={**_about(file), "Content-Length": str(file.facts.size)})


async def delete_file(call: Call, files: SessionFiles) -> Response:
    """Removes a file, a link or an empty folder: 204."""
    single_values(call.request.query_params, ())
    await files.delete(call.caller, call.params["session_id"], _path(call))
    return Response(status_code=204)


async def _content(call: Call, file: OpenFile) -> Response:
    """The answer to a GET, by its conditions and its range (RFC 9110, 13.2.2)."""
    headers, facts = call.request.headers, file.facts
    if _is_known(call, file):
        await file.aclose()
        return Response(status_code=304, headers=_about(file))
    # A part is sent only if the file is still the version of which the caller has other parts.
    ranged = headers.get("if-range", facts.etag) == facts.etag
    part = byte_range(headers.get("range", ""), facts.size) if ranged else None
    first, length = part or (0, facts.size)
    digest = digest_header(await file.choose(first, length))
    about = {**_about(file), "Content-Digest": digest, "Content-Length": str(length)}
    if part is not None:
        about["Content-Range"] = f"bytes {first}-{first + length - 1}/{facts.size}"
    return StreamedResponse(await file.content(), status_code=200 if part is None else 206, headers=about)


def _is_known(call: Call, file: OpenFile) -> bool:
    """Whether If-None-Match says that the caller has this version of the file already."""
    return names_tag(",".join(call.request.headers.getlist("if-none-match")), file.facts.etag)


def _about(file: OpenFile) -> dict[str, str]:
    return {
        **_INERT,
        "ETag": file.facts.etag,
        "Last-Modified": email.utils.format_datetime(file.facts.modified_at, usegmt=True),
        "Accept-Ranges": "bytes",
    }


async def _list(call: Call, files: SessionFiles, path: WorkspacePath, query: Mapping[str, str]) -> Response:
    limit = page_size(query, _DEFAULT_PAGE, MAX_PAGE)
    after = _after(query.get("page_token", ""))
    entries, more = await files.entries(
        call.caller, call.params["session_id"], path, limit=limit, after=after
    )
    page: dict[str, Any] = {"entries": [entry_json(entry) for entry in entries]}
    if more:
        page["next_page_token"] = base64.urlsafe_b64encode(entries[-1].name).decode()
    return JSONResponse(page)


def entry_json(entry: Entry) -> dict[str, Any]:
    """An entry as callers see it, with ``name_base64`` if its name is not UTF-8."""
    try:
        name: str | bytes = entry.name.decode()
    except UnicodeDecodeError:
        name = entry.name
    return {
        **as_json(name, "name", "name_base64"),
        "type": entry.type,
        "size": entry.size,
        "modified_at": entry.modified_at.isoformat().replace("+00:00", "Z"),
        "mode": f"{entry.mode:04o}",
    }


def _after(token: str) -> bytes:
    try:
        return base64.b64decode(token, b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(
            "page_token is not one of ours", reason=Reason.INVALID_FIELD, field="page_token"
        ) from error


def _path(call: Call) -> WorkspacePath:
    """The path as it was sent, because a path that the server has decoded is ambiguous.

    Raises:
        InvalidRequest: It is not a path in a workspace.
        NotFound: The part of the URL before it is encoded in another way than ours.
    """
    raw: bytes = call.request.scope["raw_path"]
    prefix = f"/v1/sessions/{call.params['session_id']}/files/".encode()
    if not raw.startswith(prefix):
        raise NotFound("there is nothing at this path")
    return WorkspacePath.from_url(raw[len(prefix) :])


def _upload(call: Call) -> tuple[Piece | None, Body]:
    """The body, and which piece of a file it is; None: the whole file.

    Raises:
        InvalidRequest: A header is malformed or missing.
    """
    headers = call.request.headers
    digest, whole = _digests(call)
    if "content-range" not in headers:
        length = headers.get("content-length", "")
        announced = int(length) if length.isdecimal() else None
        return None, Body(source=_received(call), length=announced, digests={digest, whole})
    part = content_range(headers["content-range"])
    name = headers.get("upload-id", "")
    if not name:
        raise InvalidRequest(
            "an upload in pieces needs an Upload-Id, the same for all of its pieces and no others",
            reason=Reason.MISSING_FIELD,
            field="Upload-Id",
        )
    if not _UPLOAD_ID.fullmatch(name):
        raise InvalidRequest(
            "Upload-Id is 1 to 128 of A-Z a-z 0-9 . _ -", reason=Reason.INVALID_FIELD, field="Upload-Id"
        )
    piece = Piece(upload=name, first=part.first, total=part.total, whole=whole)
    return piece, Body(source=_received(call), length=part.length, digests={digest})


def _digests(call: Call) -> tuple[str, str]:
    """SHA-256 in hexadecimal that the body, and the whole file, must have; empty where no header says it.

    Raises:
        InvalidRequest: A header is malformed.
        UnsupportedMediaType: The body is compressed.
    """
    headers = call.request.headers
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedMediaType("the body must not be encoded", content_encoding=encoding[:100])
    digest = sha256_of(",".join(headers.getlist("content-digest")), "Content-Digest")
    return digest, sha256_of(",".join(headers.getlist("repr-digest")), "Repr-Digest")


async def _received(call: Call) -> AsyncGenerator[bytes, None]:
    try:
        async for data in call.request.stream():
            if data:
                yield data
    except ClientDisconnect as error:
        raise InvalidRequest("the connection broke before the body was complete") from error
