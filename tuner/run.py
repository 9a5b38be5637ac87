"""One tuning run between its steps: the job as checked, and the model while it is tuned.

Each method does one thing the loop in train.py asks for and returns the event that tells of it.
Knows no order of steps; what is learned in a step is the objective's matter.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from tuner import plan
from tuner.adapter import model_files, prepare_model
from tuner.checkpoint import Checkpoint, hash_examples, save_checkpoint
from tuner.convert import read_facts
from tuner.encode import ChatEncoder
from tuner.encoded import EncodedExamples
from tuner.errors import DivergedError, ExampleError
from tuner.events import Evaluated, Finished, Saved, Started, Step
from tuner.examples import Example
from tuner.precision import choose_precision
from tuner.progress import Progress
from tuner.settings import TuningSettings
from tuner.storage import write_folder
from tuner.supervised import Supervised
from tuner.trainable import Trainable

PACKED_FAMILIES = frozenset({"llama"})
"""Families for which a test shows packed and padded steps to be equal; others are padded."""


@dataclass
class Clock:
    """When steps were taken, for the examples per second: evaluations do not count."""

    started: float = field(default_factory=time.perf_counter)
    first_step: float | None = None
    last_step: float = 0.0
    evaluating: float = 0.0
    evaluating_before_last_step: float = 0.0
    examples: int = 0
    steps: int = 0

    def count_step(self, step_started: float, examples: int) -> float:
        if self.first_step is None:
            self.first_step = step_started
        self.last_step = time.perf_counter()
        self.evaluating_before_last_step = self.evaluating
        self.examples += examples
        self.steps += 1
        return self.last_step - step_started

    @property
    def examples_per_second(self) -> float:
        if self.first_step is None:
            return 0.0
        seconds = self.last_step - self.first_step - self.evaluating_before_last_step
        return self.examples / seconds


def _unwatched() -> None:
    """In place of `moved` where nobody waits for a sign of life."""


class Job:
    """What is to be done, checked, before anything heavy is loaded."""

    def __init__(
        self,
        settings: TuningSettings,
        examples: Sequence[Example],
        validation: Sequence[Example],
        base: Path,
        checkpoint_folder: Callable[[int], Path] | None,
        save_now: Callable[[int], bool] | None,
        moved: Callable[[], None] | None = None,
    ) -> None:
        self.moved = moved or _unwatched
        self.clock = Clock()
        self.facts = read_facts(base)
        self.settings = settings
        self.base = base
        self.checkpoint_folder = checkpoint_folder
        self._save_now = save_now
        self._groups = (examples, validation)
        self.encoder = ChatEncoder.load(base)
        limit = min(settings.max_length_tokens, self.facts.context_length_tokens)
        self.training = EncodedExamples(self.encoder, examples, limit, self.moved)
        self.validation = EncodedExamples(self.encoder, validation, limit, self.moved)
        if not len(self.training):
            raise ExampleError(
                f"None of the {len(examples)} examples has at most {limit} tokens.",
                "Add shorter examples or raise the limit.",
            )
        self.learning_rate = settings.learning_rate_for(self.facts.parameters)
        self.steps_per_epoch = plan.steps_per_epoch(len(self.training), settings.batch_size)
        self.total_steps = plan.total_steps(len(self.training), settings)

    @cached_property
    def data_hash(self) -> str:
        return hash_examples(*self._groups)

    def wants_save(self, step: int) -> bool:
        return self._save_now is not None and self._save_now(step)

    def objective(self, examples: EncodedExamples) -> Supervised:
        packing = self.facts.family in PACKED_FAMILIES
        return Supervised(examples, pad_id=self.encoder.pad_id, packing=packing)


class Run:
    """The model while it is tuned."""

    def __init__(self, job: Job, checkpoint: Checkpoint | None) -> None:
        self.job = job
        self.clock = job.clock
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.precision = checkpoint.precision if checkpoint else self._choose_precision()
        self.model: Any = prepare_model(job.base, job.settings, self.precision, self.device)
        self.trainable: Any = Trainable(self.model)
        groups = self.trainable.groups(job.settings.weight_decay)
        self.optimizer: Any = torch.optim.AdamW(groups, fused=True)
        self.progress = checkpoint.progress if checkpoint else Progress()
        if checkpoint:
            checkpoint.restore(self.trainable, self.optimizer)
        self.training = job.objective(job.training)
        self.validation = job.objective(job.validation)

    def started(self) -> Started:
        settings = self.job.settings
        return Started(
            step=self.progress.step,
            total_steps=self.job.total_steps,
            training_examples=len(self.job.training),
            validation_examples=len(self.job.validation),
            dropped_examples=self.job.training.dropped + self.job.validation.dropped,
            truncated_examples=0,
            trainable_parameters=self.trainable.count,
            learning_rate=self.job.learning_rate,
            method=settings.method,
            layout="packed" if self.job.facts.family in PACKED_FAMILIES else "padded",
            activation_checkpointing=False,
            micro_batch_tokens=0,
            precision=self.precision,
            device=self.device.type,
            threads=torch.get_num_threads(),
            torch_version=str(torch.__version__),
        )

    def take_step(self, step: int, indices: Sequence[int]) -> Step:
        step_started = time.perf_counter()
        settings = self.job.settings
        peak = self.job.learning_rate
        learning_rate = plan.learning_rate_at(step, self.job.total_steps, settings, peak)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        total, answers, tokens = self._seeded_loss(step, indices)
        loss = total.item() / answers
        self._check_finite(loss, "loss", step)
        torch.autograd.backward(total / answers)
        parameters = self.trainable.parameters
        norm = torch.nn.utils.clip_grad_norm_(parameters, settings.gradient_clip_norm).item()
        self._check_finite(norm, "gradient", step)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.trainable.publish()
        self.progress.step = step
        self.progress.epoch_loss += loss * answers
        self.progress.epoch_tokens += answers
        return Step(
            step=step,
            epoch=self.epoch,
            train_loss=loss,
            token_accuracy=0.0,
            learning_rate=learning_rate,
            gradient_norm=norm,
            tokens=tokens,
            memory_bytes=0,
            seconds=self.clock.count_step(step_started, len(indices)),
        )

    def end_epoch(self) -> None:
        progress = self.progress
        progress.train_loss = progress.epoch_loss / progress.epoch_tokens
        progress.epoch_loss, progress.epoch_tokens = 0.0, 0

    def evaluate(self) -> Evaluated:
        evaluation_started = time.perf_counter()
        self.model.eval()
        loss = self.validation.mean_loss(self.model, self.job.moved)
        self.model.train()
        self._check_finite(loss, "validation loss", self.progress.step)
        self.progress.validation_loss = loss
        seconds = time.perf_counter() - evaluation_started
        self.clock.evaluating += seconds
        return Evaluated(
            step=self.progress.step,
            epoch=self.epoch,
            validation_loss=loss,
            token_accuracy=0.0,
            is_best=True,
            seconds=seconds,
        )

    def save(self) -> Saved:
        assert self.job.checkpoint_folder is not None
        folder = self.job.checkpoint_folder(self.progress.step)
        save_checkpoint(
            folder,
            trainable=self.trainable,
            optimizer=self.optimizer,
            progress=self.progress,
            settings=self.job.settings,
            precision=self.precision,
            data_hash=self.job.data_hash,
        )
        return Saved(step=self.progress.step, epoch=self.epoch, path=str(folder), is_adapter=False)

    def save_adapter(self, folder: Path) -> Saved:
        write_folder(folder, model_files(self.model, self.job.settings, self.job.base))
        return Saved(step=self.progress.step, epoch=self.epoch, path=str(folder), is_adapter=True)

    def finished(self) -> Finished:
        return Finished(
            step=self.progress.step,
            epoch=self.epoch,
            train_loss=self.progress.train_loss,
            validation_loss=self.progress.validation_loss,
            ending="complete",
            model_step=self.progress.step,
            steps=self.clock.steps,
            wall_seconds=time.perf_counter() - self.clock.started,
            examples_per_second=self.clock.examples_per_second,
        )

    @property
    def epoch(self) -> float:
        return self.progress.step / self.job.steps_per_epoch

    def release(self) -> None:
        """Free the weights now: the model holds cycles that would keep them for a while."""
        self.model = self.optimizer = self.trainable = None
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _seeded_loss(self, step: int, indices: Sequence[int]) -> tuple[torch.Tensor, int, int]:
        # Each step draws its randomness from (seed, step) alone: a resumed run needs no memory of
        # it, and the caller's own random state is left as it was.
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed((self.job.settings.seed << 32) + step)
            return self.training.loss(self.model, indices)

    def _check_finite(self, value: float, name: str, step: int) -> None:
        if not math.isfinite(value):
            rate = self.job.learning_rate
            raise DivergedError(
                f"The {name} became {value} at step {step}. Lower the learning rate "
                f"(it was {rate:g}) and start again; what was saved before is intact."
            )

    def _choose_precision(self) -> str:
        settings, job = self.job.settings, self.job
        sample = range(min(len(job.training), settings.batch_size))
        return choose_precision(
            settings.precision,
            rows=sum(len(job.training[index]) for index in sample),
            hidden_size=job.facts.hidden_size,
            device=self.device,
        )
