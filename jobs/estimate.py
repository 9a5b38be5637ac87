"""What a job will cost before it starts: examples, steps, and minutes on this machine.

Minutes come from timed steps on this machine, corrected by what the last jobs really took; there
is no number without a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from uuid import UUID

from datasets.browse import first_examples
from datasets.models import DatasetVersion
from jobs.models import Job
from library.models import BaseModel
from tuner.encode import ChatEncoder
from tuner.errors import TunerError
from tuner.examples import split_examples
from tuner.plan import Timing, estimate_seconds, total_steps
from tuner.settings import TuningSettings
from work.status import Status

SAMPLE = 400
"""Examples whose length is measured; the rest are taken to be like them."""
LAST_JOBS = 3


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What the card beside the form says."""

    training_examples: int
    validation_examples: int
    steps: int
    learning_rate: float
    raw_seconds: float | None
    """From the timed steps alone; None before this machine was measured."""
    seconds: float | None
    """Corrected by the last jobs."""


def predict(
    version: DatasetVersion,
    base: BaseModel,
    settings: TuningSettings,
    validation: DatasetVersion | None = None,
) -> Estimate:
    """The cost of a job with these settings."""
    if validation:
        training_count, validation_count = version.example_count, validation.example_count
    else:
        training_count, validation_count = divided(version.example_count, settings)
    raw = raw_seconds(version, base, settings, training_count, validation_count)
    return Estimate(
        training_examples=training_count,
        validation_examples=validation_count,
        steps=total_steps(training_count, settings),
        learning_rate=settings.learning_rate_for(base.parameters),
        raw_seconds=raw,
        seconds=raw and raw * correction(base),
    )


def divided(count: int, settings: TuningSettings) -> tuple[int, int]:
    """How many examples train and how many are held out, by the engine's own rule."""
    placeholders = list(range(count))
    training, held_out = split_examples(placeholders, settings.validation_share, settings.seed)
    return len(training), len(held_out)


def raw_seconds(
    version: DatasetVersion,
    base: BaseModel,
    settings: TuningSettings,
    training_count: int,
    validation_count: int,
) -> float | None:
    """Seconds by the timed steps; None when this machine was not measured or a file is away."""
    if not base.timing:
        return None
    try:
        lengths = sampled_lengths(version.pk, base.pk)
    except (TunerError, OSError):
        return None
    training = [lengths[index % len(lengths)] for index in range(training_count)]
    held_out = [lengths[index % len(lengths)] for index in range(validation_count)]
    return estimate_seconds(Timing.from_dict(base.timing), training, settings, held_out)


@lru_cache(maxsize=64)
def sampled_lengths(version_id: UUID, base_id: UUID) -> list[int]:
    """Lengths in tokens of the first examples. Versions never change, so neither do these."""
    encoder = ChatEncoder.load(BaseModel.objects.get(pk=base_id).folder)
    examples = first_examples(DatasetVersion.objects.get(pk=version_id), SAMPLE)
    return [len(encoder.encode_example(example)) for example in examples]


def correction(base: BaseModel) -> float:
    """How much longer the last jobs on this base took than predicted; 1 before the first."""
    last = (
        Job.objects.filter(base_model=base, work__status=Status.SUCCEEDED, predicted_seconds__gt=0)
        .select_related("work")
        .order_by("-work__finished_at")[:LAST_JOBS]
    )
    ratios = [
        job.work.elapsed_seconds / job.predicted_seconds
        for job in last
        if job.work.token == 1 and job.work.elapsed_seconds and job.predicted_seconds
    ]
    return median(ratios) if ratios else 1.0
