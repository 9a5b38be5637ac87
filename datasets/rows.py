"""One row of a file, readable or not, and the lines it is read from.

Knows line numbers and how long a row may be; no format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

ROW_LIMIT_CHARACTERS = 2_000_000
"""Far above what the limits on prompt and answer allow; keeps one endless line out of memory."""
EXCERPT_CHARACTERS = 120


@dataclass(frozen=True, slots=True)
class Row:
    """A row that could be read."""

    line: int
    record: Mapping[str, object]
    source: str
    """The row as it stands in the file, or the beginning of it."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot become an example: why, and what to change."""

    line: int
    reason: str
    remedy: str
    excerpt: str


class RowTooLongError(Exception):
    """A line is longer than any row may be; it was skipped to its end."""

    def __init__(self, line: int, excerpt: str) -> None:
        super().__init__(f"Line {line} is too long.")
        self.line = line
        self.excerpt = excerpt

    def as_bad_row(self) -> BadRow:
        """For the report."""
        return BadRow(
            self.line,
            f"The line is longer than {ROW_LIMIT_CHARACTERS:,} characters.",
            "Shorten or split it. Each example stands on a line of its own.",
            self.excerpt,
        )


class Lines:
    """The lines of a file, none longer than the limit. Goes on after a line that was too long."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.number = 0
        """The line that was read last, counted from 1."""
        self.first = ""
        """The first line read since this was last emptied."""

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._file.readline(ROW_LIMIT_CHARACTERS)
        if not line:
            raise StopIteration
        self.number += 1
        self.first = self.first or line
        if len(line) == ROW_LIMIT_CHARACTERS and not line.endswith("\n"):
            self._skip_rest()
            raise RowTooLongError(self.number, excerpt(line))
        return line

    def _skip_rest(self) -> None:
        while True:
            piece = self._file.readline(ROW_LIMIT_CHARACTERS)
            if not piece or piece.endswith("\n"):
                return


def excerpt(text: str) -> str:
    """The beginning of a row, on one line."""
    start = text[: EXCERPT_CHARACTERS * 2].strip()
    shown = " ".join(start.split())[:EXCERPT_CHARACTERS]
    # The file is stored as UTF-8, and databases refuse these two.
    shown = shown.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    return shown + ("…" if len(text) > len(shown) + 1 else "")
