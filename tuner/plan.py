"""Arithmetic of a tuning job before it starts: which examples in which step, and how long it takes.

Torch-free and exact: the engine itself takes its batches from here. Knows lengths in tokens, not
texts, and reads no clock: how fast a machine is comes in as a Timing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from tuner.errors import SettingsError
from tuner.settings import TuningSettings


def steps_per_epoch(examples: int, batch_size: int) -> int:
    return math.ceil(examples / batch_size)


def total_steps(examples: int, settings: TuningSettings) -> int:
    """All steps of a job: as many as asked for, or those of its epochs."""
    if settings.max_steps is not None:
        return settings.max_steps
    return settings.epochs * steps_per_epoch(examples, settings.batch_size)


def epoch_batches(examples: int, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """The examples of each step of one epoch (counted from 0), shuffled by seed and epoch alone."""
    order = list(range(examples))
    random.Random(f"order {seed} {epoch}").shuffle(order)
    starts = range(0, examples + batch_size, batch_size)
    return [order[start:end] for start, end in pairwise(starts) if order[start:end]]


def training_batches(
    examples: int, settings: TuningSettings, *, after_step: int = 0
) -> Iterator[tuple[int, list[int]]]:
    """Every step from `after_step` on with its examples: any step can be found again alone."""
    per_epoch = steps_per_epoch(examples, settings.batch_size)
    last_step = total_steps(examples, settings)
    for epoch in range(after_step // per_epoch, math.ceil(last_step / per_epoch)):
        batches = epoch_batches(examples, settings.batch_size, settings.seed, epoch)
        for index, batch in enumerate(batches):
            step = epoch * per_epoch + index + 1
            if after_step < step <= last_step:
                yield step, batch


def learning_rate_at(step: int, steps: int, settings: TuningSettings, peak: float) -> float:
    """The learning rate of a step (counted from 1): a linear warm-up, then the schedule."""
    warmup_steps = round(steps * settings.warmup_share)
    if step <= warmup_steps:
        return peak * step / (warmup_steps + 1)
    progress = (step - 1 - warmup_steps) / max(1, steps - warmup_steps)
    if settings.schedule == "linear":
        return peak * (1 - progress)
    if settings.schedule == "cosine":
        return peak * (1 + math.cos(math.pi * progress)) / 2
    return peak


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How fast one machine tunes one base model with an adapter, as measured on it."""

    start_seconds: float
    """From the call to the first step: reading the model and putting the adapter on."""
    seconds_per_step: float
    """What a step costs whatever its length."""
    seconds_per_token: float
    """What each token adds to a step."""
    evaluation_seconds_per_token: float
    save_seconds: float
    """One checkpoint, or the finished adapter."""
    shared_tokens: float
    """What all examples begin with by the chat template, where it is computed once per step."""
    answer_seconds_per_token: float = 0
    """The fixed prompts answered side by side, for each token of the longest answer."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Timing:
        try:
            numbers = {name: float(value) for name, value in values.items() if name != "memory"}
            return cls(**numbers)
        except (TypeError, ValueError) as error:
            raise SettingsError(f"Not a timing: {error}. Measure this machine again.") from None


_FULL_TUNING_FACTOR = 6 / 4
"""Multiplications per weight and token: two forward, two for the gradient of what comes in, and
two more for the gradient of the weight itself, which a frozen base does without."""
_QUANTISED_FACTOR = 1.2
"""Unpacking four-bit weights in each of the passes."""
_CHECKPOINTING_FACTOR = 1.37
"""The forward pass once more, attention included, for models of this kind."""
_PROBE_TOKENS = 48
"""The longest answer to a fixed prompt."""


def estimate_seconds(
    timing: Timing,
    lengths: Sequence[int],
    settings: TuningSettings,
    validation_lengths: Sequence[int] = (),
    *,
    checkpointed: bool = False,
    longest_answer: int = _PROBE_TOKENS,
) -> float:
    """Seconds the whole job will take: start, steps, evaluations and saving."""
    epoch_steps = steps_per_epoch(len(lengths), settings.batch_size)
    steps = total_steps(len(lengths), settings)
    tokens = computed_tokens(lengths, epoch_steps, timing.shared_tokens) * steps / epoch_steps
    factor = _method_factor(settings) * (_CHECKPOINTING_FACTOR if checkpointed else 1)
    learning = (steps * timing.seconds_per_step + tokens * timing.seconds_per_token) * factor
    evaluations = count_evaluations(steps, epoch_steps, settings, bool(validation_lengths))
    held_out = computed_tokens(validation_lengths, 1, timing.shared_tokens)
    evaluation = held_out * timing.evaluation_seconds_per_token
    evaluation += min(longest_answer, _PROBE_TOKENS) * timing.answer_seconds_per_token
    saves = steps // epoch_steps + 1
    return timing.start_seconds + learning + evaluations * evaluation + saves * timing.save_seconds


def count_evaluations(
    steps: int, epoch_steps: int, settings: TuningSettings, has_validation: bool
) -> int:
    """As often as the settings say, and once more at the end where that is not one of them."""
    every = settings.evaluate_every_steps
    if every is None:
        every = epoch_steps if has_validation else steps
    return math.ceil(steps / every)


def _method_factor(settings: TuningSettings) -> float:
    return {"lora": 1.0, "qlora": _QUANTISED_FACTOR, "full": _FULL_TUNING_FACTOR}[settings.method]


def computed_tokens(lengths: Sequence[int], steps: int, shared_tokens: float) -> float:
    """Tokens that go through the model when so many examples are spread over so many steps."""
    return sum(lengths) - max(0, len(lengths) - steps) * shared_tokens
