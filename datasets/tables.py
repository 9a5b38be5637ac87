"""Tables: comma, semicolon, tab or pipe between cells, one header row, quoted line breaks kept.

Knows separators and quotes; not what a column means.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import IO

from datasets.errors import UnreadableFileError
from datasets.rows import ROW_LIMIT_CHARACTERS, BadRow, Lines, Row, RowTooLongError, excerpt

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
ROWS_FOR_DETECTION = 50
COLUMN_LIMIT = 1000
SWALLOWED_LINES_LIMIT = 100
QUOTE_REMEDY = (
    "Put cells that hold a separator, a quotation mark or a line break in quotation marks, "
    "and double the marks inside."
)


def detect_delimiter(head: str, is_cut: bool) -> str:
    """The separator under which most rows are as wide as the header, and wider than one cell."""
    csv.field_size_limit(ROW_LIMIT_CHARACTERS)
    scores = {delimiter: _score(head, delimiter, is_cut) for delimiter in DELIMITERS}
    return max(scores, key=lambda delimiter: scores[delimiter])


def _score(head: str, delimiter: str, is_cut: bool) -> tuple[bool, float, int]:
    reader = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
    rows = [row for row in islice(reader, ROWS_FOR_DETECTION) if row]
    if is_cut and len(rows) > 2:
        rows.pop()  # may be half a row
    widths = [len(row) for row in rows]
    if not widths:
        return False, 0.0, 0
    return widths[0] > 1, widths.count(widths[0]) / len(widths), widths[0]


def read_table(file: IO[str], delimiter: str) -> Iterator[Row | BadRow]:
    """Every row under the header, by column name, with the line it begins on."""
    csv.field_size_limit(ROW_LIMIT_CHARACTERS)
    lines = Lines(file)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    header = _read_header(reader)
    while True:
        first_line, lines.first = lines.number + 1, ""
        try:
            cells = next(reader)
        except StopIteration:
            return
        except RowTooLongError as error:
            yield error.as_bad_row()
        except csv.Error as error:
            yield _broken_row(error, first_line, lines)
        else:
            if any(cells):
                yield _row(header, cells, first_line, delimiter)


def _read_header(reader: Iterator[list[str]]) -> list[str]:
    try:
        cells = next((cells for cells in reader if any(cell.strip() for cell in cells)), [])
    except (csv.Error, RowTooLongError):
        raise UnreadableFileError(
            "The header in line 1 cannot be read as a table. " + QUOTE_REMEDY
        ) from None
    header = [cell.strip() or f"column {number}" for number, cell in enumerate(cells, start=1)]
    _check_header(header)
    return header


def _check_header(header: Sequence[str]) -> None:
    if len(header) < 2:
        raise UnreadableFileError(
            "Only one column was found, and an example needs a prompt and an answer. Separate the "
            "columns with commas, semicolons, tabs or pipes, or write one JSON object a line."
        )
    if len(header) > COLUMN_LIMIT:
        raise UnreadableFileError(
            f"The table has {len(header):,} columns; at most {COLUMN_LIMIT:,} can be read. "
            "Keep the columns with the prompt and the answer."
        )
    repeated = next((name for name in header if header.count(name) > 1), None)
    if repeated is not None:
        raise UnreadableFileError(
            f"Two columns are named “{repeated[:60]}”. Give each its own name. "
            "(The first row has to hold the names of the columns.)"
        )


def _row(header: list[str], cells: list[str], line: int, delimiter: str) -> Row | BadRow:
    source = delimiter.join(cells[:20])
    if len(cells) != len(header):
        reason = f"The row has {_cells(len(cells))}; the header has {len(header)}."
        return BadRow(line, reason, QUOTE_REMEDY, excerpt(source))
    return Row(line, dict(zip(header, cells, strict=True)), source)


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count:,} cells"


def _broken_row(error: csv.Error, first_line: int, lines: Lines) -> BadRow:
    swallowed = lines.number - first_line
    where = f" (lines {first_line:,} to {lines.number:,})" if swallowed else ""
    if "',' expected" in str(error) or "expected after" in str(error):
        reason = f"A quotation mark stands where none may be{where}."
    else:
        reason = f"A quotation mark opens here and is never closed{where}."
    if swallowed > SWALLOWED_LINES_LIMIT:
        # So much would be missing that "all but one row is good" would mislead.
        raise UnreadableFileError(f"Line {first_line:,}: {reason} {QUOTE_REMEDY}")
    return BadRow(first_line, reason, QUOTE_REMEDY, excerpt(lines.first))
