"""Translates queries to Firestore's form.

Each query needs an index. Firestore makes indexes of one field and the document's name by itself; the
Terraform configuration has the others (https://cloud.google.com/firestore/docs/query-data/index-overview).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from google.cloud.firestore_v1 import types

from shared.store import documents
from shared.store.engine import Query
from shared.store.firestore.values import to_value

NameOf: TypeAlias = Callable[[str, str], str]
"""Makes the full name of a document from its collection and id."""

_NAME = "__name__"
_Filter = types.StructuredQuery.FieldFilter
_Operator = _Filter.Operator
_Direction = types.StructuredQuery.Direction


def structured(name_of: NameOf, query: Query) -> types.StructuredQuery:
    """One of our queries in Firestore's form.

    Raises:
        ValueError: The query names an id that no document can have.
    """
    collection, index = query.collection, query.index
    direction = _Direction.DESCENDING if index.newest_first else _Direction.ASCENDING
    filters = [
        _filter(field, _Operator.EQUAL, to_value(value))
        for field, value in zip(index.equal, query.values, strict=True)
    ]
    if query.until is not None:
        filters.append(_filter(index.by, _Operator.LESS_THAN_OR_EQUAL, to_value(query.until)))
    for operator, bound in (
        (_Operator.GREATER_THAN_OR_EQUAL, query.first),
        (_Operator.LESS_THAN, query.end),
    ):
        if bound:
            filters.append(_filter(_NAME, operator, _reference(name_of, collection.name, bound)))
    order = [_order(field, direction) for field in (index.by, _NAME) if field]
    asked = types.StructuredQuery(
        select=_projection(collection.listed),
        from_=[types.StructuredQuery.CollectionSelector(collection_id=collection.name)],
        order_by=order,
    )
    if filters:
        asked.where = _all(filters)
    if query.limit is not None:
        asked.limit = query.limit
    if query.after is not None:
        place = [to_value(query.after.at), _reference(name_of, collection.name, query.after.id)]
        asked.start_at = types.Cursor(values=place[-len(order) :], before=False)
    return asked


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
