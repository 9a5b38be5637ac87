"""Measure how fast this machine tunes a base model, for the estimate before a job starts.

Takes a few real steps at two lengths; the line through the two times says what a step and what a
token costs. Keeps nothing.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tuner.batch import shared_length
from tuner.examples import Example
from tuner.plan import Timing, computed_tokens
from tuner.run import PACKED_FAMILIES, Job, Run
from tuner.settings import TuningSettings

BATCH_SIZE = 4
TIMED_STEPS = 3
SHORT_WORDS, LONG_WORDS = 5, 50


def measure_timing(base: Path) -> Timing:
    """What a job on this base costs here; takes as long as about ten steps."""
    short, long = (_examples(words) for words in (SHORT_WORDS, LONG_WORDS))
    settings = TuningSettings(batch_size=BATCH_SIZE)
    started = time.perf_counter()
    job = Job(settings, [*short, *long], long, base, None, None)
    run = Run(job, None)
    try:
        _step(run, 0)
        first_step_ended = time.perf_counter()
        short_seconds = _median_seconds(lambda: _step(run, 0))
        _step(run, BATCH_SIZE)  # the first step of a length is slower than those that follow
        long_seconds = _median_seconds(lambda: _step(run, BATCH_SIZE))
        evaluation_seconds = _median_seconds(run.evaluate)
        save_seconds = _seconds(lambda: _save(run))
    finally:
        run.release()
    encoded = [job.training[index] for index in range(len(job.training))]
    lengths = [len(example) for example in encoded]
    shared = shared_length(encoded) if job.facts.family in PACKED_FAMILIES else 0
    short_tokens = computed_tokens(lengths[:BATCH_SIZE], 1, shared)
    long_tokens = computed_tokens(lengths[BATCH_SIZE:], 1, shared)
    per_token = max(0.0, (long_seconds - short_seconds) / (long_tokens - short_tokens))
    return Timing(
        start_seconds=max(0.0, first_step_ended - started - short_seconds),
        seconds_per_step=max(0.0, short_seconds - per_token * short_tokens),
        seconds_per_token=per_token,
        evaluation_seconds_per_token=evaluation_seconds / long_tokens,
        save_seconds=save_seconds,
        shared_tokens=shared,
    )


def _examples(words: int) -> list[Example]:
    """One batch of number-filled examples that share nothing but the chat template."""
    numbers = random.Random(words)
    texts = (
        " ".join(str(numbers.randrange(10 * index + 1, 10 * index + 10)) for _ in range(words))
        for index in range(BATCH_SIZE)
    )
    return [Example.from_pair(text, f"{index} more") for index, text in enumerate(texts)]


def _step(run: Run, first_example: int) -> None:
    run.take_step(run.progress.step + 1, range(first_example, first_example + BATCH_SIZE))


def _save(run: Run) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run.save_adapter(Path(folder) / "adapter")


def _median_seconds(action: Callable[[], object]) -> float:
    return median(_seconds(action) for _ in range(TIMED_STEPS))


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
