"""A list, a page at a time: by where the last page ended, so that page ten thousand costs what the first one did."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, tuple_

T = TypeVar("T")

#: Where a page ended: the value it was sorted by, and the id.
Mark = tuple[int | str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Which part of a list is asked for."""

    limit: int = 50
    after: Mark | None = None  #: the mark of the page before
    ascending: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list, and where it goes on; None: it does not."""

    items: list[T]
    next: Mark | None


def page(
    db: Connection,
    query: Select[Any],
    order: ColumnElement[Any],
    name: ColumnElement[Any],
    part: Slice,
    *,
    read: Callable[[Row[Any]], T],
    expression: bool = False,
) -> Page[T]:
    """`order` and `name` are raw values: milliseconds, not moments (`type_coerce`), and its rows are labelled so.

    `expression`: the index is on an expression, and SQLite searches it only when told its first part alone, too.
    """
    if part.after is not None:
        here = tuple_(*part.after)
        both = tuple_(order, name)
        beyond = both > here if part.ascending else both < here
        first = order >= part.after[0] if part.ascending else order <= part.after[0]
        query = query.where(and_(first, beyond) if expression else beyond)
    way = (order.asc(), name.asc()) if part.ascending else (order.desc(), name.desc())
    found: Sequence[Row[Any]] = db.execute(
        query.add_columns(order.label("_order"), name.label("_name")).order_by(*way).limit(part.limit + 1)
    ).all()
    shown = found[: part.limit]
    more = len(found) > part.limit
    return Page([read(row) for row in shown], (shown[-1]._order, shown[-1]._name) if more else None)
