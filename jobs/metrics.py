"""Read a job's points: all after one, by epoch, or few enough for a sparkline."""

from __future__ import annotations

from collections import deque
from statistics import fmean
from typing import TypedDict

from django.db.models.functions import Mod

from jobs.models import Job
from jobs.protocol import LogMessage, Point
from jobs.series import TRAINING_LOSS, VALIDATION_LOSS

PORTION = 20_000
LOG_LINES = 200
SPARKLINE_POINTS = 40


class Portion(TypedDict):
    """Points and where the job stands. `newest_step` lets a page drop what no longer exists."""

    points: list[Point]
    newest_step: int
    sampled_step: int
    """The newest step at which the fixed prompts were answered; 0 before the first time."""
    status: str
    log: list[LogMessage]


class EpochRow(TypedDict):
    """One line of the table of numbers."""

    epoch: float
    step: int
    training_loss: float | None
    validation_loss: float | None


def after(job: Job, seq: int, log_number: int) -> Portion:
    """The points after `seq`, at most a portion, and the log lines after `log_number`."""
    rows = job.points.filter(seq__gt=seq).order_by("seq")[:PORTION]
    return Portion(
        points=[row.as_message() for row in rows],
        newest_step=job.points.order_by("-step").values_list("step", flat=True).first() or 0,
        sampled_step=sampled_step(job),
        status=job.work.status,
        log=log_after(job, log_number),
    )


def sampled_step(job: Job) -> int:
    """The newest step at which the fixed prompts were answered."""
    return job.samples.order_by("-step").values_list("step", flat=True).first() or 0


def log_after(job: Job, number: int) -> list[LogMessage]:
    """The newest log lines after that number, in their order."""
    lines = list(job.log_lines.filter(pk__gt=number).order_by("-pk")[:LOG_LINES])
    return [LogMessage(type="log", number=line.pk, text=line.text) for line in reversed(lines)]


def by_epoch(job: Job) -> list[EpochRow]:
    """Validation loss at each evaluation, beside the mean training loss since the one before."""
    training = deque(
        job.points.filter(name=TRAINING_LOSS).order_by("step").values_list("step", "value")
    )
    rows: list[EpochRow] = []
    for point in job.points.filter(name=VALIDATION_LOSS).order_by("step"):
        since = []
        while training and training[0][0] <= point.step:
            since.append(training.popleft()[1])
        rows.append(
            EpochRow(
                epoch=point.epoch,
                step=point.step,
                training_loss=fmean(since) if since else None,
                validation_loss=point.value,
            )
        )
    return rows


def sparkline(job: Job) -> list[float]:
    """The training loss at about forty steps."""
    stride = max(1, job.step // SPARKLINE_POINTS)
    points = job.points.filter(name=TRAINING_LOSS).alias(rest=Mod("step", stride)).filter(rest=0)
    return list(points.order_by("step").values_list("value", flat=True))
