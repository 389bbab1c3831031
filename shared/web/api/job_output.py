"""What a job says, as events with cursors: after a lost connection a caller goes on at the last cursor."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from datetime import UTC, datetime

from starlette.responses import Response

from shared.core.commands import Output, Started, Stream
from shared.core.jobs.model import Gap, JobCursor, JobRecord, JobReport, Place
from shared.core.jobs.service import JobService
from shared.web.api.jobs import END, cursor_text, end_json, output_query
from shared.web.http.call import Call
from shared.web.http.encoding import Piece, TextSplitter, as_json, rfc3339
from shared.web.http.events import STREAMED, EventObject, negotiate
from shared.web.http.request_body import RequestBody
from shared.web.http.streaming import EventStream, after


class OutputEvents:
    """Makes events of records.

    A cursor says a place in the job's log and how much of each stream is delivered. A character
    whose end has not come yet is not delivered: the place stays at the record in which it begins.

    Args:
        since: The cursor at which the caller goes on.
    """

    def __init__(self, since: JobCursor) -> None:
        self._splitters: dict[Stream, TextSplitter] = {
            "stdout": TextSplitter(since.stdout),
            "stderr": TextSplitter(since.stderr),
        }
        self._kept: dict[Stream, Place] = {}
        self._place = since.place

    def take(self, record: JobRecord) -> Iterator[EventObject]:
        """The events of one record. Only the cursor of the last one lies behind the record."""
        event, self._place = record.event, record.begin
        if isinstance(event, Gap):
            yield from self._rest(event.stream, record)
        elif isinstance(event, JobReport):
            for stream in self._splitters:
                yield from self._rest(stream, record)
        self._place = record.end
        if isinstance(event, Output):
            yield from self._output(event, record)
        elif isinstance(event, Gap):
            self._splitters[event.stream].skip(event.size or 0)
            gap = {"stream": event.stream, "offset": event.offset, "bytes": event.size}
            yield self._event("gap", gap, record)
        elif isinstance(event, Started):
            yield self._event("started", {"pid": event.pid}, record)
        elif isinstance(event, JobReport):
            yield {**self._event("exit", end_json(event), record), "cursor": END}
        else:
            yield self._event("heartbeat", {}, record)

    def _output(self, output: Output, record: JobRecord) -> Iterator[EventObject]:
        splitter, stream = self._splitters[output.stream], output.stream
        kept = self._kept.pop(stream, record.begin)
        piece = splitter.feed(output.data)
        if splitter.keeps:
            self._kept[stream] = kept if piece is None else record.begin
        if piece is not None:
            yield self._piece(stream, piece, record)

    def _rest(self, stream: Stream, record: JobRecord) -> Iterator[EventObject]:
        piece = self._splitters[stream].end()
        self._kept.pop(stream, None)
        if piece is not None:
            yield self._piece(stream, piece, record)

    def _piece(self, stream: Stream, piece: Piece, record: JobRecord) -> EventObject:
        offset, content = piece
        return self._event(stream, {"offset": offset, **as_json(content)}, record)

    def _event(self, kind: str, members: EventObject, record: JobRecord) -> EventObject:
        delivered = {stream: splitter.offset for stream, splitter in self._splitters.items()}
        place = min([self._place, *self._kept.values()], key=lambda at: (at.part, at.size))
        cursor = JobCursor(place, delivered["stdout"], delivered["stderr"])
        return {
            "type": kind,
            **members,
            "cursor": cursor_text(cursor),
            "time": rfc3339(record.at or datetime.now(UTC)),
        }


async def as_objects(
    records: AsyncIterator[JobRecord], since: JobCursor
) -> AsyncGenerator[EventObject, None]:
    """Turns records into the objects that callers see."""
    events = OutputEvents(since)
    async for record in records:
        for event in events.take(record):
            yield event


async def respond(call: Call, service: JobService) -> Response:
    """Starts to follow a job and makes the response.

    For the cursor behind the end the response is 204: it keeps a browser, which would go on with an
    event stream, from asking again.

    Args:
        call: The request; its Accept header chooses the format.
        service: Follows the job.

    Raises:
        GamguiError: The request breaks a rule, or the job cannot be followed.
    """
    form = negotiate(",".join(call.request.headers.getlist("accept")), STREAMED)
    since, follow = output_query(call.request.query_params, call.request.headers.get("last-event-id"))
    session_id, job_id = call.params["session_id"], call.params["job_id"]
    if since is None:
        await service.get(call.caller, session_id, job_id)
        return Response(status_code=204)
    records = service.output(call.caller, session_id, job_id, since, wait=follow)
    # A failure before the first event is an ordinary error.
    objects = as_objects(after(await anext(records, None), records), since)
    return EventStream(call, objects, source=records, body=RequestBody(), form=form)
