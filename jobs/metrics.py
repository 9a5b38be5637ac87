"""Read a job's points: all after one, by epoch, or few enough for a sparkline."""

from __future__ import annotations

from typing import TypedDict

from django.db.models.functions import Mod

from jobs.models import Job
from jobs.protocol import Point
from jobs.recorder import TRAINING_LOSS, VALIDATION_LOSS

PORTION = 20_000
SPARKLINE_POINTS = 40


class Portion(TypedDict):
    """Points and where the job stands. `newest_step` lets a page drop what no longer exists."""

    points: list[Point]
    newest_step: int
    status: str


class EpochRow(TypedDict):
    """One line of the table of numbers."""

    epoch: float
    step: int
    training_loss: float | None
    validation_loss: float | None


def after(job: Job, seq: int) -> Portion:
    """The points after `seq`, at most a portion."""
    rows = job.points.filter(seq__gt=seq).order_by("seq")[:PORTION]
    return Portion(
        points=[row.as_message() for row in rows],
        newest_step=job.points.order_by("-step").values_list("step", flat=True).first() or 0,
        status=job.work.status,
    )


def by_epoch(job: Job) -> list[EpochRow]:
    """Validation loss at each evaluation, beside the mean training loss since the one before."""
    training = list(job.points.filter(name=TRAINING_LOSS).order_by("step"))
    rows: list[EpochRow] = []
    start = 0
    for point in job.points.filter(name=VALIDATION_LOSS).order_by("step"):
        since = [row.value for row in training if start < row.step <= point.step]
        rows.append(
            EpochRow(
                epoch=point.epoch,
                step=point.step,
                training_loss=sum(since) / len(since) if since else None,
                validation_loss=point.value,
            )
        )
        start = point.step
    return rows


def sparkline(job: Job) -> list[float]:
    """The training loss at about forty steps."""
    stride = max(1, job.step // SPARKLINE_POINTS)
    points = job.points.filter(name=TRAINING_LOSS).alias(rest=Mod("step", stride)).filter(rest=0)
    return list(points.order_by("step").values_list("value", flat=True))
