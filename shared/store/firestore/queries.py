"""The queries of the store, as Firestore takes them.

Each needs an index: those with one field and the document's name have it by themselves, the
others are in the Terraform configuration (https://cloud.google.com/firestore/docs/query-data/index-overview).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from google.cloud.firestore_v1 import types

from shared.core.paging import Cursor
from shared.store import documents
from shared.store.firestore.values import to_value

NameOf: TypeAlias = Callable[[str, str], str]
"""Full name of a document, from its collection and id."""

_NAME = "__name__"
_Filter = types.StructuredQuery.FieldFilter
_Operator = _Filter.Operator
_Direction = types.StructuredQuery.Direction


def newest(
    name_of: NameOf,
    collection: str,
    equal: Mapping[str, str],
    *,
    limit: int,
    after: Cursor | None,
    time: str = "created_at",
    fields: Sequence[str] = (),
) -> types.StructuredQuery:
    """Documents whose fields have these values - none: all -, by (time, id) descending, behind a place.

    Of each these ``fields``; none: all.
    """
    filters = [_filter(field, _Operator.EQUAL, to_value(value)) for field, value in equal.items()]
    return _query(name_of, collection, filters, time, _Direction.DESCENDING, limit, after, fields)


def due(
    name_of: NameOf,
    collection: str,
    field: str,
    now: datetime,
    *,
    limit: int,
    after: Cursor | None,
    fields: Sequence[str] = (),
) -> types.StructuredQuery:
    """Documents in which this time has come, by (time, id), behind a place. No time never comes."""
    filters = [_filter(field, _Operator.LESS_THAN_OR_EQUAL, to_value(now))]
    return _query(name_of, collection, filters, field, _Direction.ASCENDING, limit, after, fields)


def between(
    name_of: NameOf,
    collection: str,
    flag: str,
    first: str,
    end: str,
    *,
    limit: int | None = None,
    fields: Sequence[str] = (),
) -> types.StructuredQuery:
    """Documents with a flag that is true, of ids from ``first`` to before ``end``; empty: no end."""
    filters = [
        _filter(flag, _Operator.EQUAL, to_value(True)),
        _filter(_NAME, _Operator.GREATER_THAN_OR_EQUAL, _reference(name_of, collection, first)),
    ]
    if end:
        filters.append(_filter(_NAME, _Operator.LESS_THAN, _reference(name_of, collection, end)))
    query = types.StructuredQuery(
        select=_projection(fields),
        from_=[types.StructuredQuery.CollectionSelector(collection_id=collection)],
        where=_all(filters),
    )
    if limit is not None:
        query.limit = limit
    return query


def _query(
    name_of: NameOf,
    collection: str,
    filters: list[types.StructuredQuery.Filter],
    by: str,
    direction: Any,
    limit: int,
    after: Cursor | None,
    fields: Sequence[str],
) -> types.StructuredQuery:
    query = types.StructuredQuery(
        select=_projection(fields),
        from_=[types.StructuredQuery.CollectionSelector(collection_id=collection)],
        order_by=[_order(by, direction), _order(_NAME, direction)],
        limit=limit,
    )
    if filters:
        query.where = _all(filters)
    if after is not None:
        place = [to_value(after.at), _reference(name_of, collection, after.id)]
        query.start_at = types.Cursor(values=place, before=False)
    return query


def _projection(fields: Sequence[str]) -> types.StructuredQuery.Projection | None:
    if not fields:
        return None
    return types.StructuredQuery.Projection(
        fields=[types.StructuredQuery.FieldReference(field_path=field) for field in fields]
    )


def _reference(name_of: NameOf, collection: str, document_id: str) -> types.Value:
    documents.require_id(document_id)
    return types.Value(reference_value=name_of(collection, document_id))


def _all(filters: list[types.StructuredQuery.Filter]) -> types.StructuredQuery.Filter:
    return types.StructuredQuery.Filter(
        composite_filter=types.StructuredQuery.CompositeFilter(
            op=types.StructuredQuery.CompositeFilter.Operator.AND, filters=filters
        )
    )


def _filter(field: str, operator: Any, value: types.Value) -> types.StructuredQuery.Filter:
    reference = types.StructuredQuery.FieldReference(field_path=field)
    return types.StructuredQuery.Filter(field_filter=_Filter(field=reference, op=operator, value=value))


def _order(field: str, direction: Any) -> types.StructuredQuery.Order:
    reference = types.StructuredQuery.FieldReference(field_path=field)
    return types.StructuredQuery.Order(field=reference, direction=direction)
