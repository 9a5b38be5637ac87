"""From text to rows: JSON lines, one JSON array, or a table with a header.

Knows the formats and how they break; not what a row means. Memory is bounded by the longest row,
whatever the size of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from datasets import json_rows, tables
from datasets.errors import UnreadableFileError
from datasets.rows import BadRow, Row
from datasets.text import TextFile

HEAD_CHARACTERS = 65_536
TABLE_SUFFIXES = (".csv", ".tsv", ".tab")


@dataclass(frozen=True)
class Layout:
    """How a file's rows are written."""

    kind: str
    """"lines", "array" or "table"."""
    delimiter: str = ""

    @property
    def label(self) -> str:
        """In words, for the report."""
        if self.kind == "table":
            return f"table with {tables.DELIMITERS[self.delimiter]}"
        return {"lines": "JSON lines", "array": "JSON array"}[self.kind]


def detect_layout(text: TextFile, file_name: str) -> Layout:
    """The layout by content; the name decides only where both are possible."""
    with text.open() as file:
        head = file.read(HEAD_CHARACTERS)
        is_cut = bool(file.read(1))
    suffix = "." + file_name.lower().rpartition(".")[2]
    first = head.lstrip()[:1]
    if suffix not in TABLE_SUFFIXES and first in ("{", "["):
        _refuse_one_object(head)
        return Layout("lines" if first == "{" else "array")
    if suffix in (".jsonl", ".ndjson", ".json"):
        # Every line will be named as bad, with what it should be.
        return Layout("lines")
    delimiter = "\t" if suffix == ".tsv" else tables.detect_delimiter(head, is_cut)
    return Layout("table", delimiter)


def _refuse_one_object(head: str) -> None:
    if head.lstrip().partition("\n")[0].strip() == "{":
        raise UnreadableFileError(
            "This is one JSON object written over several lines. Upload the list of examples "
            "alone, as [{...}, {...}], or one object a line."
        )


def read_rows(text: TextFile, layout: Layout) -> Iterator[Row | BadRow]:
    """Every row that is not blank, readable or not, with the line it begins on."""
    with text.open() as file:
        if layout.kind == "lines":
            yield from json_rows.read_lines(file)
        elif layout.kind == "array":
            yield from json_rows.read_array(file)
        else:
            yield from tables.read_table(file, layout.delimiter)


def first_rows(text: TextFile, layout: Layout, count: int) -> list[Row]:
    """The first readable rows among the first hundred times as many."""
    readable = (row for row in islice(read_rows(text, layout), count * 100) if isinstance(row, Row))
    rows = list(islice(readable, count))
    if not rows and layout.kind == "table":
        raise UnreadableFileError("There is a header but no whole row under it. Add rows.")
    return rows
