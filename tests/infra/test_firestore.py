"""Indexes and expiry in Terraform are what the repositories declare, and what they ask of Firestore.

Every index is asked for with every bound that a query may have, on a Firestore that answers nothing and
remembers what it was asked.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import pkgutil
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any, TypeAlias

import grpc.aio
import pytest
from google.cloud.firestore_v1 import types

import shared.store
from shared.core.paging import Cursor
from shared.store.engine import Collection, Query
from shared.store.firestore import documents
from shared.store.firestore.engine import FirestoreEngine
from tests.support.terraform import PLATFORM, local_values

NOON = datetime(2026, 1, 1, tzinfo=UTC)

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


def collections() -> list[Collection]:
    """Those that the modules of shared/store declare."""
    found: dict[str, Collection] = {}
    for module in pkgutil.iter_modules(shared.store.__path__, "shared.store."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Collection):
                found[value.name] = value
    return list(found.values())


def asked_of(collection: Collection) -> Iterator[Query]:
    """Queries by each index, with every kind of bound."""
    for index in collection.indexes:
        values = ("x",) * len(index.equal)
        bounds: list[dict[str, Any]] = (
            [{}, {"until": NOON}] if index.by else [{}, {"first": "a"}, {"first": "a", "end": "b"}]
        )
        for bound, after in itertools.product(bounds, (None, Cursor(NOON, "x"))):
            yield Query(collection=collection, index=index, values=values, after=after, limit=1, **bound)


@pytest.fixture
async def queries() -> list[types.StructuredQuery]:
    """All queries of the code."""
    google = RecordingFirestore()
    async with google.serving() as address:
        engine = FirestoreEngine(project="p", emulator_host=address)
        for collection in collections():
            for query in asked_of(collection):
                await engine.find(query)
                await engine.count(query)
        await engine.close()
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
            f"Add an index to local.indexes in infra/terraform/platform/firestore.tf: {query}"
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


def test_what_is_unindexed_is_what_repositories_declare() -> None:
    declared = {
        one.name: sorted((*one.unindexed, documents._WRITE_ID)) for one in collections() if one.unindexed
    }
    declared |= {one.groups: [documents.MARKS] for one in collections() if one.groups}
    assert {name: sorted(fields) for name, fields in local_values(PLATFORM)["unindexed"].items()} == declared


def test_what_the_database_may_remove_is_what_repositories_declare() -> None:
    declared = {one.name: one.expires_by for one in collections() if one.expires_by}
    assert local_values(PLATFORM)["ttl"] == declared


def test_every_module_that_declares_is_found() -> None:
    found = {one.name for one in collections()}
    assert found == {"sessions", "jobs", "requests", "audit", "keys", "connections", "installation"}
