"""From a file to a dataset: read, check every row, store, and only then make the rows.

The one way in for every door (page, sample sets, command line). Knows owners and settings; not how
the bytes came here. Either a whole dataset comes out or nothing is left behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from django.conf import settings
from django.db import IntegrityError, transaction

from datasets.checks import check_row
from datasets.errors import (
    ColumnsUnknownError,
    NameRefusedError,
    TooFewExamplesError,
    UnreadableFileError,
)
from datasets.formats import Layout, detect_layout, first_rows, read_rows
from datasets.models import Dataset, DatasetVersion
from datasets.report import ReportBuilder
from datasets.rows import BadRow, Row
from datasets.shapes import ColumnMapping, columns_of, flatten
from datasets.storage import (
    ExampleFile,
    check_free_disk,
    examples_path,
    new_example_file,
)
from datasets.text import TextFile, check_text
from tuner.examples import recognised_fields

if TYPE_CHECKING:
    from accounts.models import User

PREVIEW_ROWS = 20
UNUSED_COLUMNS_NAMED = 8


@dataclass(frozen=True)
class Inspection:
    """What the beginning of a file says about all of it."""

    text: TextFile
    layout: Layout
    rows: list[Row]
    """The first readable rows."""

    @property
    def is_recognised(self) -> bool:
        """Whether the names of the fields say which is the prompt."""
        return any(recognised_fields(row.record) for row in self.rows)

    @property
    def columns(self) -> list[str]:
        """The columns that could be prompt or answer."""
        return columns_of(row.record for row in self.rows)


def inspect(path: Path, file_name: str) -> Inspection:
    """Read the beginning, after making sure that all of it is text."""
    if path.stat().st_size > settings.UPLOAD_LIMIT_BYTES:
        raise UnreadableFileError(too_large_sentence(path.stat().st_size))
    text = check_text(path)
    layout = detect_layout(text, file_name)
    return Inspection(text, layout, first_rows(text, layout, PREVIEW_ROWS))


def too_large_sentence(size_bytes: int) -> str:
    """Size and limit in words."""
    return (
        f"The file has {size_bytes / 1_000_000:,.1f} MB; the limit is "
        f"{settings.UPLOAD_LIMIT_BYTES // 1_000_000:,} MB. Split it into smaller files."
    )


def create_dataset(
    owner: User,
    name: str,
    path: Path,
    *,
    file_name: str = "",
    mapping: ColumnMapping | None = None,
    facts: dict[str, Any] | None = None,
) -> Dataset:
    """Check the file and keep it as a dataset of this name.

    ColumnsUnknownError when a person has to say first which columns to take; any other
    DatasetError when it cannot be used. In both cases nothing is left behind.
    """
    check_name(owner, name)
    check_free_disk(path.stat().st_size)
    started = perf_counter()
    inspection = inspect(path, file_name or path.name)
    _check_columns(inspection, mapping)
    with new_example_file() as file:
        builder = _check_every_row(inspection, mapping, file)
        report = builder.finish(
            **describe(inspection, mapping, file_name or path.name),
            **(facts or {}),
            seconds=round(perf_counter() - started, 3),
        )
        _check_enough(builder, report)
        return _keep(owner, name, file, builder, report)


def check_name(owner: User, name: str) -> None:
    """NameRefusedError when the name is no name, or this person has it, in capitals or not."""
    limit = Dataset._meta.get_field("name").max_length or 0
    if not name.strip() or not name.isprintable():
        raise NameRefusedError("Give the dataset a name of letters and digits.")
    if len(name) > limit:
        raise NameRefusedError(f"The name has {len(name)} characters; the limit is {limit}.")
    if Dataset.objects.for_user(owner).filter(name__iexact=name).exists():
        raise NameRefusedError(f"You have a dataset named “{name}” already. Choose another name.")


def _check_columns(inspection: Inspection, mapping: ColumnMapping | None) -> None:
    if mapping is not None or inspection.is_recognised or not inspection.rows:
        return
    columns = inspection.columns
    if len(columns) < 2:
        found = ", ".join(columns)[:200] or "none"
        raise UnreadableFileError(
            "An example needs two fields with text, a prompt and an answer; the fields with text "
            f"here: {found}. Name them text_input and output, or upload a table with two columns."
        )
    raise ColumnsUnknownError("Say which column is the prompt and which is the answer.")


def _check_every_row(
    inspection: Inspection, mapping: ColumnMapping | None, file: ExampleFile
) -> ReportBuilder:
    builder = ReportBuilder()
    for row in read_rows(inspection.text, inspection.layout):
        checked = row if isinstance(row, BadRow) else check_row(row, mapping)
        if isinstance(checked, BadRow):
            builder.add_bad(checked)
        else:
            example, line = checked
            file.write(line)
            builder.add_good(row.line, example, line)
    return builder


def _check_enough(builder: ReportBuilder, report: dict[str, Any]) -> None:
    if builder.good >= settings.MINIMUM_EXAMPLES:
        return
    bad = f" {builder.bad:,} more could not be used, see below." if builder.bad else ""
    examples = "1 good example" if builder.good == 1 else f"{builder.good:,} good examples"
    raise TooFewExamplesError(
        f"This has {examples}; at least {settings.MINIMUM_EXAMPLES} are needed to tune a "
        f"model.{bad} Nothing was saved.",
        report,
    )


def describe(
    inspection: Inspection, mapping: ColumnMapping | None, file_name: str
) -> dict[str, Any]:
    """What the report says of the file itself."""
    columns, unused = _columns_taken(inspection, mapping)
    return {
        "file_name": file_name[:255],
        "size_bytes": inspection.text.path.stat().st_size,
        "layout": inspection.layout.label,
        "encoding": inspection.text.label,
        "columns": columns,
        "columns_unused": unused,
    }


def _columns_taken(
    inspection: Inspection, mapping: ColumnMapping | None
) -> tuple[list[str], list[str]]:
    """(the columns that became examples, those that were left), by the first rows."""
    if mapping is not None:
        taken = [mapping.prompt, mapping.answer]
        names = {name for row in inspection.rows for name in flatten(row.record)}
    else:
        used = (recognised_fields(row.record) for row in inspection.rows)
        taken = list(dict.fromkeys(name for names in used for name in names))
        names = {name for row in inspection.rows for name in row.record}
    unused = sorted(names.difference(taken))
    return taken, unused[:UNUSED_COLUMNS_NAMED]


def _keep(
    owner: User, name: str, file: ExampleFile, builder: ReportBuilder, report: dict[str, Any]
) -> Dataset:
    """The file first, then the rows; without the rows the file goes too."""
    version_id = uuid4()
    file.keep_as(examples_path(version_id))
    try:
        with transaction.atomic():
            dataset = Dataset.objects.create(owner=owner, name=name)
            DatasetVersion.objects.create(
                id=version_id,
                dataset=dataset,
                example_count=builder.good,
                size_bytes=file.size_bytes,
                sha256=file.sha256,
                report=report,
            )
    except IntegrityError:
        examples_path(version_id).unlink(missing_ok=True)
        check_name(owner, name)  # somebody was faster
        raise
    except BaseException:
        examples_path(version_id).unlink(missing_ok=True)
        raise
    return dataset
