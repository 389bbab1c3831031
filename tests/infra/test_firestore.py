"""Indexes and expiry in Terraform are what the code asks of Firestore.

Every method of the stores that takes no document is called, with every kind of value that its
arguments may have, on a Firestore that answers nothing and remembers what it was asked.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import inspect
import itertools
import typing
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any, TypeAlias

import grpc.aio
import pytest
from google.cloud.firestore_v1 import types

from shared.app.adapters import SystemClock
from shared.core.jobs.model import Job
from shared.core.paging import Cursor
from shared.core.sessions.model import Session, SessionState
from shared.core.sessions.ports import RequestRecord
from shared.errors import GamguiError
from shared.store.firestore import documents, store
from shared.store.firestore.store import FirestoreStore
from tests.support.laptop import ROOT
from tests.support.terraform import PLATFORM, local_values

VALUES: dict[Any, list[Any]] = {
    str: ["x"],
    int: [1],
    datetime: [datetime(2026, 1, 1, tzinfo=UTC)],
    SessionState: [SessionState.RUNNING],
    Cursor: [],
    type(None): [None],
}
DOCUMENTS = {"sessions": Session, "jobs": Job, "requests": RequestRecord}

Index: TypeAlias = tuple[str, frozenset[str], tuple[tuple[str, str], ...]]
"""Collection, fields compared for equality, fields ordered by with their directions."""


class RecordingFirestore:
    """A Firestore that holds nothing.

    Attributes:
        queries: What it was asked.
    """

    def __init__(self) -> None:
        self.queries: list[types.StructuredQuery] = []

    async def run_query(self, request: Any, _: Any) -> AsyncIterator[types.RunQueryResponse]:
        self.queries.append(request.structured_query)
        yield types.RunQueryResponse()

    async def count(self, request: Any, _: Any) -> AsyncIterator[types.RunAggregationQueryResponse]:
        asked = request.structured_aggregation_query
        self.queries.append(asked.structured_query)
        found = {one.alias: types.Value(integer_value=0) for one in asked.aggregations}
        yield types.RunAggregationQueryResponse(result=types.AggregationResult(aggregate_fields=found))

    async def read(self, _: Any, __: Any) -> AsyncIterator[types.BatchGetDocumentsResponse]:
        for nothing in list[types.BatchGetDocumentsResponse]():
            yield nothing

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncGenerator[str, None]:
        """Serves on loopback; yields host:port."""
        methods: dict[str, tuple[Any, Any, Any]] = {
            "RunQuery": (self.run_query, types.RunQueryRequest, types.RunQueryResponse),
            "RunAggregationQuery": (
                self.count,
                types.RunAggregationQueryRequest,
                types.RunAggregationQueryResponse,
            ),
            "BatchGetDocuments": (
                self.read,
                types.BatchGetDocumentsRequest,
                types.BatchGetDocumentsResponse,
            ),
        }
        handlers = {
            name: grpc.unary_stream_rpc_method_handler(method, asked.deserialize, answer.serialize)
            for name, (method, asked, answer) in methods.items()
        }
        server = grpc.aio.server()
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("google.firestore.v1.Firestore", handlers)]
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(None)


def stores(store: FirestoreStore) -> Iterator[Any]:
    """The store, and those of the same package that share its documents."""
    yield store
    for source in sorted((ROOT / "shared" / "store" / "firestore").glob("*.py")):
        module = importlib.import_module(f"shared.store.firestore.{source.stem}")
        kind: Any
        for _, kind in inspect.getmembers(module, inspect.isclass):
            own = kind.__module__ == module.__name__
            if own and list(inspect.signature(kind).parameters) == ["documents"]:
                yield kind(store._documents)


def calls(method: Any) -> Iterator[dict[str, Any]]:
    """Arguments to call a method with; none when it takes a document, which no query does."""
    hints = typing.get_type_hints(method)
    hints.pop("return", None)
    choices: dict[str, list[Any]] = {}
    for name, hint in hints.items():
        kinds = typing.get_args(hint) or (hint,)
        if any(kind not in VALUES for kind in kinds):
            return
        choices[name] = [value for kind in kinds for value in VALUES[kind]]
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


@pytest.fixture
async def queries() -> list[types.StructuredQuery]:
    """All queries of the code."""
    google = RecordingFirestore()
    async with google.serving() as address:
        store = FirestoreStore(project="p", clock=SystemClock(), emulator_host=address)
        for one in list(stores(store)):
            for name, method in inspect.getmembers(one, inspect.iscoroutinefunction):
                if name.startswith("_") or name == "close":
                    continue
                for arguments in calls(method):
                    with contextlib.suppress(GamguiError):
                        await method(**arguments)
        await store.close()
    return google.queries


def fields_of(query: types.StructuredQuery) -> tuple[list[str], list[tuple[str, str]]]:
    where = query.where
    filters = list(where.composite_filter.filters) or ([where] if where.field_filter.field else [])
    compared = [one.field_filter for one in filters]
    equal = [one.field.field_path for one in compared if one.op.name == "EQUAL"]
    ordered = [(one.field.field_path, one.direction.name) for one in query.order_by]
    ranged = dict.fromkeys(one.field.field_path for one in compared if one.op.name != "EQUAL")
    named = {name for name, _ in ordered}
    return equal, [*((name, "ASCENDING") for name in ranged if name not in named), *ordered]


def needed(asked: list[types.StructuredQuery]) -> set[Index]:
    """The composite indexes that queries need; Firestore's own serve one field and the name."""
    found: set[Index] = set()
    for query in asked:
        equal, ordered = fields_of(query)
        fields = {name for name in (*equal, *(name for name, _ in ordered)) if name != "__name__"}
        if len(fields) < 2:
            continue
        if ordered[-1][0] != "__name__":
            ordered.append(("__name__", ordered[-1][1]))
        found.add((query.from_[0].collection_id, frozenset(equal), tuple(ordered)))
    return found


def provided(index: dict[str, Any], query: Index) -> bool:
    """Whether an index of ours serves a query; Terraform adds the name as the last field."""
    fields = [tuple(field) for field in index["fields"]]
    fields.append(("__name__", fields[-1][1]))
    collection, equal, ordered = query
    head, tail = fields[: len(equal)], fields[len(equal) :]
    return index["collection"] == collection and {name for name, _ in head} == equal and tail == list(ordered)


def test_every_query_has_its_index(queries: list[types.StructuredQuery]) -> None:
    indexes = local_values(PLATFORM)["indexes"]
    asked = needed(queries)
    assert len(asked) >= 3
    for query in asked:
        assert any(provided(index, query) for index in indexes.values()), (
            f"Add an index to local.indexes in infra/terraform/platform/store.tf: {query}"
        )


def test_every_index_has_its_query(queries: list[types.StructuredQuery]) -> None:
    indexes = local_values(PLATFORM)["indexes"]
    asked = needed(queries)
    for name, index in indexes.items():
        assert any(provided(index, query) for query in asked), f"No query uses the index {name}"


def test_what_is_not_indexed_is_not_asked_for(queries: list[types.StructuredQuery]) -> None:
    closed = {
        (name, field) for name, fields in local_values(PLATFORM)["unindexed"].items() for field in fields
    }
    for query in queries:
        equal, ordered = fields_of(query)
        for field in (*equal, *(name for name, _ in ordered)):
            assert (query.from_[0].collection_id, field) not in closed


def test_fields_without_index_are_fields_of_the_code() -> None:
    for collection, fields in local_values(PLATFORM)["unindexed"].items():
        if collection in DOCUMENTS:
            known = {field.name for field in dataclasses.fields(DOCUMENTS[collection])}
            known.add(documents._WRITE_ID)
            assert set(fields) <= known, collection


def test_collections_are_those_of_the_code() -> None:
    code = {store.SESSIONS, store.JOBS, store.REQUESTS}
    assert code <= set(local_values(PLATFORM)["unindexed"])


def test_what_expires_is_forgotten() -> None:
    ttl = local_values(PLATFORM)["ttl"]
    assert ttl["requests"] in {field.name for field in dataclasses.fields(RequestRecord)}
    for collection, module in ("audit", "audit.py"), ("jobs", "store.py"):
        assert f'"{ttl[collection]}"' in (ROOT / "shared" / "store" / "firestore" / module).read_text()
    assert ttl["sessions"] in {field.name for field in dataclasses.fields(Session)}
