"""Everything a file is refused for, as sentences a person can act on.

DatasetError
 |-- UnreadableFileError   empty, binary, wrong encoding, or no rows that could be examples
 |-- TooFewExamplesError   read and checked, but too little of it is good; brings the report
 |-- NameRefusedError      the name is empty, too long, or one the person has already
 |-- StorageError          the disk is full or a file cannot be written
 |-- InUseError            a tuning job needs the dataset, so it cannot be deleted
 |-- ColumnsUnknownError   readable rows in columns that a person has to map; not a fault

Each says what happened and what to do. `field` is the form field it belongs to.
"""

from __future__ import annotations

from typing import Any


class DatasetError(Exception):
    """Nothing was saved; the message says why and what to do."""

    field = "file"


class UnreadableFileError(DatasetError):
    """Empty, binary, wrong encoding, or no rows that could be examples."""


class TooFewExamplesError(DatasetError):
    """Read and checked, but fewer good examples than a dataset needs."""

    def __init__(self, message: str, report: dict[str, Any]) -> None:
        super().__init__(message)
        self.report = report


class NameRefusedError(DatasetError):
    """The name is empty, too long, or one the person has already."""

    field = "name"


class StorageError(DatasetError):
    """The disk is full or a file cannot be written."""


class InUseError(DatasetError):
    """A tuning job needs the dataset, so it cannot be deleted."""


class ColumnsUnknownError(DatasetError):
    """The rows are readable, but a person has to say which column is the prompt."""
