"""Measure how fast this machine tunes a base model, and what that holds in memory.

Takes a few real steps at two lengths: the line through them says what a step and what a token
costs, in seconds and in bytes. Keeps nothing.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from tuner.examples import Example
from tuner.factors import Measured, Seen, as_calibration
from tuner.footprint import Footprint
from tuner.job import Job
from tuner.memory import MemoryCalibration
from tuner.memory_in_use import memory_in_use_bytes
from tuner.peak import release_freed_memory, watch_peak
from tuner.plan import Timing, computed_tokens
from tuner.probes import Probes
from tuner.run import Run
from tuner.settings import TuningSettings
from tuner.workload import PACKED, shared_prefix

BATCH_SIZE = 4
TIMED_STEPS = 3
WATCHED_STEPS = 2
"""Memory freed in one step does not always lie where the next one needs it."""
SHORT_WORDS, LONG_WORDS = 5, 60
_ALL_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Calibration:
    """What is to be known of one base model on one machine before a job."""

    timing: Timing
    memory: MemoryCalibration

    def as_dict(self) -> dict[str, Any]:
        return {**self.timing.as_dict(), "memory": self.memory.as_dict()}


@dataclass(frozen=True)
class _Batch:
    """Examples for one step, by their places in the run."""

    places: range
    tokens: float
    """Computed, as the run lays them out."""
    answers: int


def calibrate(base: Path) -> Calibration:
    """What a job on this base costs and holds here; takes as long as about twenty steps."""
    release_freed_memory()
    process_bytes = memory_in_use_bytes(torch.device("cpu"))
    started = time.perf_counter()
    short, long, talkative = (
        _examples(SHORT_WORDS, 1),
        _examples(LONG_WORDS, 1),
        _examples(1, LONG_WORDS),
    )
    settings = TuningSettings(batch_size=BATCH_SIZE, micro_batch_tokens=_ALL_AT_ONCE)
    run = Run(Job(settings, [*short, *long, *talkative], long, base, None, None), None)
    try:
        _step(run, range(BATCH_SIZE))
        trial = _Trial(run, time.perf_counter() - started, process_bytes)
        memory = trial.memory()
        return Calibration(trial.timing(), memory)
    finally:
        run.release()


class _Trial:
    """Steps of one run, timed and watched."""

    def __init__(self, run: Run, until_first_step: float, process_bytes: int) -> None:
        self._run = run
        self._until_first_step = until_first_step
        self._process_bytes = process_bytes if run.device.type == "cpu" else 0
        examples = [run.job.training[index] for index in range(len(run.job.training))]
        is_packed = run.path.layout == PACKED
        self._shared = shared_prefix([example.ids for example in examples]) if is_packed else 0
        self._short, self._long, self._talkative = (
            self._batch(examples, first) for first in range(0, len(examples), BATCH_SIZE)
        )

    def _batch(self, examples: Sequence[Any], first: int) -> _Batch:
        places = range(first, first + BATCH_SIZE)
        chosen = [examples[place] for place in places]
        return _Batch(
            places=places,
            tokens=computed_tokens([len(example) for example in chosen], 1, self._shared),
            answers=sum(sum(example.trained) for example in chosen),
        )

    def timing(self) -> Timing:
        short_seconds, long_seconds = (
            self._step_seconds(self._short),
            self._step_seconds(self._long),
        )
        tokens = self._long.tokens - self._short.tokens
        per_token = max(0.0, (long_seconds - short_seconds) / tokens)
        evaluation_seconds = _median_seconds(self._run.evaluate)
        return Timing(
            start_seconds=max(0.0, self._until_first_step - short_seconds),
            seconds_per_step=max(0.0, short_seconds - per_token * self._short.tokens),
            seconds_per_token=per_token,
            evaluation_seconds_per_token=evaluation_seconds / self._long.tokens,
            answer_seconds_per_token=self._answer_seconds(),
            save_seconds=_seconds(self._save),
            shared_tokens=self._shared,
        )

    def memory(self) -> MemoryCalibration:
        """Smallest first: what is freed is not always given back, and would hide a lower peak."""
        run = self._run
        short = self._seen(self._short)
        run.checkpoint_activations(True)
        checkpointed = self._seen(self._long)
        run.checkpoint_activations(False)
        measured = Measured(
            short=short,
            checkpointed=checkpointed,
            long=self._seen(self._long),
            talkative=self._seen(self._talkative),
        )
        footprint = Footprint(
            facts=run.job.facts,
            settings=run.job.settings,
            precision=run.precision,
            layout=run.path.layout,
        )
        is_gpu = run.device.type == "cuda"
        return as_calibration(
            footprint,
            measured,
            device=run.device.type,
            device_bytes=torch.cuda.mem_get_info()[1] if is_gpu else 0,
            process_bytes=self._process_bytes,
        )

    def _seen(self, batch: _Batch) -> Seen:
        with watch_peak(self._run.device) as peak:
            for _ in range(WATCHED_STEPS):
                _step(self._run, batch.places)
        return Seen(tokens=batch.tokens, answers=batch.answers, peak_bytes=peak.bytes)

    def _step_seconds(self, batch: _Batch) -> float:
        # The first step of a length is slower than the others; these were watched before.
        return _median_seconds(lambda: _step(self._run, batch.places))

    def _answer_seconds(self) -> float:
        """What a token of the fixed prompts' answers takes, all prompts together."""
        job = self._run.job
        probes = Probes(
            _examples(SHORT_WORDS, 1),
            job.encoder,
            seed=0,
            context_tokens=job.facts.context_length_tokens,
        )
        started = time.perf_counter()
        samples = probes.answer(self._run.model, job.moved)
        seconds = time.perf_counter() - started
        pairs = (Example.from_pair("?", sample.answer or "?") for sample in samples)
        said = (sum(job.encoder.encode_example(pair).trained) for pair in pairs)
        return seconds / max(said, default=1)

    def _save(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self._run.save_adapter(Path(folder) / "adapter")


def _examples(words: int, answer_words: int) -> list[Example]:
    """One batch of number-filled examples that share nothing but the chat template."""
    numbers = random.Random(words)

    def text(index: int, count: int) -> str:
        low = 10 * index + 1
        return " ".join(str(numbers.randrange(low, low + 9)) for _ in range(count))

    return [
        Example.from_pair(text(index, words), text(index, answer_words))
        for index in range(BATCH_SIZE)
    ]


def _step(run: Run, places: range) -> None:
    run.take_step(run.progress.step + 1, places)


def _median_seconds(action: Callable[[], object]) -> float:
    return median(_seconds(action) for _ in range(TIMED_STEPS))


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
