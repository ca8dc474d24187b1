"""A table as plain HTML, so that it reads without JavaScript."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Bar:
    """A figure with a bar below it; ``share`` of the longest one that there may be, from 0 to 1."""

    text: str
    share: float


def table(
    name: str,
    caption: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Bar]],
    *,
    numeric: Collection[str],
    row_attributes: Iterable[str] | None = None,
) -> str:
    """An HTML table.

    Parameters
    ----------
    name : str
        Its id.
    rows : iterable of sequence of str or Bar
        Texts are escaped here.
    numeric : collection of str
        Columns of figures.
    row_attributes : iterable of str, optional
        HTML attributes of each row, as they stand.
    """
    classes = [' class="number"' if column in numeric else "" for column in columns]
    head = "".join(
        f'<th scope="col"{kind}>{escape(column)}</th>' for column, kind in zip(columns, classes, strict=True)
    )
    listed = list(rows)
    attributes = [""] * len(listed) if row_attributes is None else [f" {text}" for text in row_attributes]
    body = "".join(
        f"<tr{attribute}>"
        + "".join(f"<td{kind}>{_cell(cell)}</td>" for cell, kind in zip(row, classes, strict=True))
        + "</tr>\n"
        for row, attribute in zip(listed, attributes, strict=True)
    )
    return (
        f'<table id="{name}"><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}</tbody></table>"
    )


def _cell(cell: str | Bar) -> str:
    if isinstance(cell, str):
        return escape(cell)
    return f'{escape(cell.text)}<i class="share" style="width:{100 * cell.share:.1f}%"></i>'
