"""The examples a job learned worst, found again in the datasets they came from.

Goes the way of the job's own mixture with numbers in place of examples, then reads the few lines
that are wanted. Knows datasets and losses; nothing of pages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from datasets.browse import PAGE_SIZE, NumberedExample, as_example, numbered_lines
from datasets.models import DatasetVersion
from jobs.data_parts import composed, parts_of
from jobs.models import Job


@dataclass(frozen=True, kw_only=True)
class WorstExample:
    """One example, where it stands, and how well it was learned."""

    row: NumberedExample
    loss: float
    address: str
    """The dataset's page, open where the example stands."""


def worst_examples(job: Job) -> list[WorstExample]:
    """Worst first; none before the job has finished."""
    if not job.example_losses:
        return []
    versions, places = mixture(job)
    known = [(*places[index], loss) for index, loss in job.example_losses if index < len(places)]
    rows = {
        part: read_rows(version, {number for at, number, _ in known if at == part})
        for part, version in enumerate(versions)
    }
    addresses = [version.dataset.get_absolute_url() for version in versions]
    newest = [version == version.dataset.current for version in versions]
    return [
        WorstExample(
            row=rows[part][number],
            loss=loss,
            address=addresses[part] + (page_of(number) if newest[part] else ""),
        )
        for part, number, loss in known
        if number in rows[part]
    ]


def page_of(number: int) -> str:
    """The end of the address of a dataset's page that shows this example."""
    return f"?page={(number - 1) // PAGE_SIZE + 1}#rows"


def mixture(job: Job) -> tuple[list[DatasetVersion], list[tuple[int, int]]]:
    """The job's datasets, and for each training example which of them and which line it is."""
    parts = parts_of(job)
    numbered = [
        (part, [(at, number) for number in range(1, part.version.example_count + 1)])
        for at, part in enumerate(parts)
    ]
    validation: list[tuple[int, int]] | None = [] if job.validation_version else None
    training, _ = composed(numbered, job.tuning_settings, validation)
    return [part.version for part in parts], list(training)


def read_rows(version: DatasetVersion, numbers: Iterable[int]) -> dict[int, NumberedExample]:
    """These examples of a version, by their number."""
    wanted = set(numbers)
    if not wanted or not version.path.exists():
        return {}
    lines = (line for line in numbered_lines(version) if line[0] in wanted)
    return {row.number: row for row in (as_example(*line) for line in lines)}
