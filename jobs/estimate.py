"""What a job will cost before it starts: examples, steps, minutes and memory on this machine.

Both come from steps that were timed and watched on this machine, minutes corrected by what the last
jobs really took. Needs no torch and no more than a moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from datasets.models import DatasetVersion
from jobs import data_parts
from jobs.data_parts import Part
from jobs.models import Job
from jobs.token_counts import SAMPLE, TokenCounts, facts_of, token_counts
from library.models import BaseModel
from tuner.errors import TunerError
from tuner.families import layout
from tuner.machine import available_memory_bytes
from tuner.memory import WILL_NOT_FIT, MemoryCalibration, MemoryPlan, Sizes, plan_memory
from tuner.plan import Timing, estimate_seconds, total_steps
from tuner.settings import TuningSettings, label
from tuner.workload import shared_prefix
from work.status import Status

LAST_JOBS = 3


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What the card beside the form says."""

    training_examples: int
    """In each epoch, mixed and without those left out."""
    validation_examples: int
    steps: int
    learning_rate: float
    chosen: tuple[tuple[str, object], ...] = ()
    """(name, value) of the settings that were left to the studio."""
    left_out: int = 0
    """Examples longer than the limit, which the job will go without."""
    truncated: int = 0
    refused: int = 0
    """Examples longer than the limit, where the settings refuse to start with such."""
    is_sampled: bool = False
    """Whether lengths were measured on the first examples only."""
    layout: str = ""
    """packed or padded: the fast path or the plain one."""
    memory: MemoryPlan | None = None
    """None while the base model's files cannot be read, or if no example is left."""
    raw_seconds: float | None = None
    """From the timed steps alone; None before this machine was measured."""
    seconds: float | None = None
    """Corrected by the last jobs."""

    @property
    def nothing_left(self) -> bool:
        """Whether the limit of length leaves no example to learn from."""
        return self.left_out > 0 and self.training_examples == 0

    @property
    def will_not_fit(self) -> bool:
        return self.memory is not None and self.memory.verdict == WILL_NOT_FIT

    @property
    def memory_bar(self) -> dict[str, int]:
        """How far the peak and the limit reach on a line that holds both, in percent."""
        assert self.memory is not None
        peak, available = self.memory.peak_bytes, self.memory.available_bytes
        return {
            "peak": round(100 * peak / max(peak, available)),
            "available": round(100 * available / max(peak, available)),
        }


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """The examples of a job by their tokens, as far as they take part in it."""

    training: list[int]
    validation: list[int]
    left_out: int
    truncated: int
    refused: int
    counts: Sequence[TokenCounts]


def predict(
    parts: Sequence[Part],
    base: BaseModel,
    settings: TuningSettings,
    validation: DatasetVersion | None = None,
    automatic: Sequence[str] = (),
) -> Estimate:
    """The cost of a job on these datasets with these settings.

    `automatic` names the settings that were left to the studio; `settings` has what it chose.
    """
    try:
        lengths = measure_lengths(parts, base, settings, validation)
    except (TunerError, OSError):
        lengths = None  # the form still says what it can; the job itself will say what is wrong
    if lengths is None:
        training, held_out = data_parts.counts(parts, settings, validation)
        return Estimate(
            training_examples=training,
            validation_examples=held_out,
            steps=total_steps(training, settings),
            learning_rate=settings.learning_rate_for(base.parameters),
            chosen=chosen_values(settings, automatic),
        )
    memory = plan(lengths, base, settings) if lengths.training else None
    raw = raw_seconds(lengths, base, settings, memory) if memory else None
    return Estimate(
        training_examples=len(lengths.training),
        validation_examples=len(lengths.validation),
        steps=total_steps(len(lengths.training), settings),
        learning_rate=settings.learning_rate_for(base.parameters),
        chosen=chosen_values(settings, automatic),
        left_out=lengths.left_out,
        truncated=lengths.truncated,
        refused=lengths.refused,
        is_sampled=any(part.version.example_count > SAMPLE for part in parts),
        layout=layout(facts_of(base.pk).family, settings),
        memory=memory,
        raw_seconds=raw,
        seconds=raw and raw * correction(base, settings.method),
    )


def chosen_values(
    settings: TuningSettings, automatic: Sequence[str]
) -> tuple[tuple[str, object], ...]:
    """What "auto" became, by the names people read."""
    return tuple((label(name), getattr(settings, name)) for name in automatic)


def measure_lengths(
    parts: Sequence[Part],
    base: BaseModel,
    settings: TuningSettings,
    validation: DatasetVersion | None,
) -> Lengths | None:
    """The lengths of what an epoch trains on and what is held out; None if none can be told."""
    versions = [part.version for part in parts] + ([validation] if validation else [])
    found = [token_counts(version.pk, base.pk, settings.trained_on) for version in versions]
    counts = [each for each in found if each is not None]
    if len(counts) < len(found):
        return None
    all_lengths = [
        [each.length_of(place) for place in range(version.example_count)]
        for version, each in zip(versions, counts, strict=True)
    ]
    loaded = list(zip(parts, all_lengths, strict=False))
    training, held_out = data_parts.composed(
        loaded, settings, all_lengths[-1] if validation else None
    )
    limit = min(settings.max_length_tokens, facts_of(base.pk).context_length_tokens)
    return within_limit(list(training), held_out, limit, settings.over_length, counts)


def within_limit(
    training: list[int],
    held_out: list[int],
    limit: int,
    policy: str,
    counts: Sequence[TokenCounts],
) -> Lengths:
    """What becomes of the examples that are too long."""
    too_long = sum(length > limit for length in (*training, *held_out))
    if policy == "truncate":
        training, held_out = ([min(limit, it) for it in group] for group in (training, held_out))
    elif policy == "drop":
        training, held_out = ([it for it in group if it <= limit] for group in (training, held_out))
    return Lengths(
        training=training,
        validation=held_out,
        left_out=too_long if policy == "drop" else 0,
        truncated=too_long if policy == "truncate" else 0,
        refused=too_long if policy == "refuse" else 0,
        counts=counts,
    )


def plan(lengths: Lengths, base: BaseModel, settings: TuningSettings) -> MemoryPlan:
    """The peak memory, what there is, and what was chosen to make it fit."""
    calibration = base.memory_calibration or MemoryCalibration()
    tokens = sum(sum(each.lengths) for each in lengths.counts)
    sizes = Sizes(
        lengths=lengths.training,
        shared_tokens=shared_prefix([each.prefix for each in lengths.counts])
        if len(lengths.counts) > 1
        else len(lengths.counts[0].prefix),
        answer_share=sum(each.answers for each in lengths.counts) / tokens,
        has_validation=bool(lengths.validation),
    )
    on_gpu = calibration.device == "cuda"
    available = int(calibration.device_bytes) if on_gpu else available_memory_bytes()
    return plan_memory(facts_of(base.pk), settings, sizes, calibration, available)


def raw_seconds(
    lengths: Lengths, base: BaseModel, settings: TuningSettings, memory: MemoryPlan
) -> float | None:
    """Seconds by the timed steps; None when this machine was not measured."""
    if not base.timing:
        return None
    return estimate_seconds(
        Timing.from_dict(base.timing),
        lengths.training,
        settings,
        lengths.validation,
        checkpointed=memory.activation_checkpointing,
        longest_answer=max(each.longest_answer for each in lengths.counts),
    )


def correction(base: BaseModel, method: str) -> float:
    """How much longer the last such jobs took than predicted; 1 before the first."""
    last = (
        Job.objects.filter(
            base_model=base,
            settings__method=method,
            work__status=Status.SUCCEEDED,
            predicted_seconds__gt=0,
        )
        .exclude(ending__startswith="stopped")
        .select_related("work")
        .order_by("-work__finished_at")[:LAST_JOBS]
    )
    ratios = [
        job.work.elapsed_seconds / job.predicted_seconds
        for job in last
        if job.work.token == 1 and job.work.elapsed_seconds and job.predicted_seconds
    ]
    return median(ratios) if ratios else 1.0
