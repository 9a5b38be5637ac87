"""One tuning run between its steps: the model while it is tuned, and how far it has come.

Each method does one thing the loop in train.py asks for and returns the event that tells of it.
Knows no order of steps; what is learned in a step is the objective's matter.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tuner import plan
from tuner.adapter import model_files, prepare_model
from tuner.best_weights import BestInMemory, BestOnDisk, BestWeights
from tuner.checkpoint import Checkpoint, save_checkpoint
from tuner.checkpoints import Checkpoints
from tuner.early_stopping import count_evaluation, has_stalled
from tuner.errors import diverged
from tuner.events import Evaluated, ExampleLosses, Finished, Sampled, Saved, Started, Step
from tuner.example_losses import remember, worst
from tuner.forward_path import ForwardPath
from tuner.job import Job
from tuner.memory_in_use import memory_in_use_bytes
from tuner.precision import choose_precision
from tuner.probes import Probes
from tuner.progress import Progress
from tuner.run_memory import plan_run
from tuner.storage import write_folder
from tuner.supervised import BatchLoss
from tuner.trainable import Trainable


class Run:
    """The model while it is tuned."""

    def __init__(self, job: Job, checkpoint: Checkpoint | None) -> None:
        self.job = job
        self.clock = job.clock
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.precision = checkpoint.precision if checkpoint else self._choose_precision()
        self.model: Any = prepare_model(
            job.base,
            job.settings,
            self.precision,
            self.device,
            start_from=job.start.folder if job.start else None,
            start_mode=job.start_mode,
        )
        self.model.train()  # as loaded, it would drop nothing out
        self.trainable: Any = Trainable(self.model)
        groups = self.trainable.groups(job.settings.weight_decay)
        self.optimizer: Any = torch.optim.AdamW(groups, fused=True)
        self.progress = checkpoint.progress if checkpoint else Progress()
        self.best: BestWeights = (
            BestInMemory() if job.settings.uses_adapter else BestOnDisk(job.output)
        )
        self.checkpoints = Checkpoints(job.settings.checkpoints_kept)
        if checkpoint:
            self._go_on_from(checkpoint)
        self.path: Any = None
        self.training: Any = None
        self.validation: Any = None
        self.plan = plan_run(
            job.facts,
            self.progress.planned(job.settings),
            job.training,
            precision=self.precision,
            device=self.device,
            has_validation=len(job.validation) > 0,
            calibration=job.memory,
        )
        self.progress.micro_batch_tokens = self.plan.micro_batch_tokens
        self.progress.activation_checkpointing = self.plan.activation_checkpointing
        self.checkpoint_activations(self.plan.activation_checkpointing)
        self.probes: Probes | None = None
        self.ending: str | None = None
        self.model_step = self.progress.step

    def checkpoint_activations(self, is_checkpointed: bool) -> None:
        """Compute activations twice from now on, or no longer."""
        self.path = ForwardPath(
            self.job,
            self.model,
            self.precision,
            is_checkpointed=is_checkpointed,
            micro_batch_tokens=self.plan.micro_batch_tokens,
        )
        self.training = self.path.objective(self.job.training)
        self.validation = self.path.objective(self.job.validation)

    def _go_on_from(self, checkpoint: Checkpoint) -> None:
        checkpoint.restore(self.trainable, self.optimizer)
        self.checkpoints.newest_step = self.progress.step
        if not self.job.keeps_best or not self.progress.best_step:
            return
        if self.progress.best_step == self.progress.step:
            self.best.keep(self.trainable)
        elif checkpoint.best:
            self.best.read(checkpoint.best)
        else:  # the run was begun to end with its last weights, and kept none before
            self.progress.best_loss, self.progress.best_step = None, 0

    def started(self) -> Started:
        settings = self.job.settings
        return Started(
            step=self.progress.step,
            total_steps=self.job.total_steps,
            training_examples=len(self.job.training),
            validation_examples=len(self.job.validation),
            dropped_examples=self.job.training.dropped + self.job.validation.dropped,
            truncated_examples=self.job.training.truncated + self.job.validation.truncated,
            trainable_parameters=self.trainable.count,
            learning_rate=self.job.learning_rate,
            method=settings.method,
            layout=self.path.layout,
            activation_checkpointing=self.path.is_checkpointed,
            micro_batch_tokens=self.path.micro_batch_tokens,
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
        batch = self._learn(step, indices)
        self._check_finite(batch.mean, "loss", step)
        parameters = self.trainable.parameters
        norm = torch.nn.utils.clip_grad_norm_(parameters, settings.gradient_clip_norm).item()
        self._check_finite(norm, "gradient", step)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.trainable.publish()
        self.progress.step = step
        self.progress.epoch_loss += batch.total
        self.progress.epoch_tokens += batch.answers
        remember(self.progress, indices, batch.per_example, len(self.job.training))
        return Step(
            step=step,
            epoch=self.epoch,
            train_loss=batch.mean,
            token_accuracy=batch.correct / batch.answers,
            learning_rate=learning_rate,
            gradient_norm=norm,
            tokens=batch.tokens,
            memory_bytes=memory_in_use_bytes(self.device),
            seconds=self.clock.count_step(step_started, len(indices)),
        )

    def end_epoch(self) -> None:
        progress = self.progress
        progress.train_loss = progress.epoch_loss / progress.epoch_tokens
        progress.epoch_loss, progress.epoch_tokens = 0.0, 0

    def evaluate(self) -> Evaluated:
        evaluation_started = time.perf_counter()
        self.model.eval()
        measured = self.validation.evaluate(self.model, self.job.moved)
        self.model.train()
        loss = measured.mean
        self._check_finite(loss, "validation loss", self.progress.step)
        is_best = count_evaluation(self.progress, loss, self.job.settings)
        if is_best and self.job.keeps_best:
            self.best.keep(self.trainable)
        seconds = time.perf_counter() - evaluation_started
        self.clock.evaluating += seconds
        return Evaluated(
            step=self.progress.step,
            epoch=self.epoch,
            validation_loss=loss,
            token_accuracy=measured.correct / measured.answers,
            is_best=is_best,
            seconds=seconds,
        )

    def sample(self) -> Sampled:
        """The fixed prompts, chosen when first asked for: a start should not wait for them."""
        started = time.perf_counter()
        if self.probes is None:
            self.probes = self.job.probes()
        samples = self.probes.answer(self.model, self.job.moved)
        self.clock.evaluating += time.perf_counter() - started
        return Sampled(step=self.progress.step, epoch=self.epoch, samples=samples)

    def look_for_end(self) -> None:
        """Whether no step comes after this one, and why."""
        if self.ending is None and self.progress.step >= self.job.total_steps:
            self.ending = "complete"
        if self.ending is None and self.job.wants_stop():
            self.ending = "stopped by hand"

    def look_for_stall(self) -> None:
        """Whether the validation loss no longer falls, if that is to end the run."""
        if self.ending is None and has_stalled(self.progress, self.job.settings):
            self.ending = "stopped early"

    @property
    def is_at_best(self) -> bool:
        """Whether the weights as they are now are those of the best evaluation."""
        return 0 < self.progress.best_step == self.progress.step

    def wants_save(self, epoch_ends: bool) -> bool:
        """Whether this step is worth a checkpoint."""
        asked = self.job.wants_save(self.progress.step)
        # Whole models are large, and their best weights travel with every later checkpoint.
        new_best = self.is_at_best and self.job.keeps_best and self.job.settings.uses_adapter
        return asked or epoch_ends or new_best or self.ending == "stopped by hand"

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
            best=None if self.best.is_empty or self.is_at_best else self.best.content(),
        )
        self.checkpoints.saved(self.progress.step, folder)
        return Saved(step=self.progress.step, epoch=self.epoch, path=str(folder), is_adapter=False)

    def example_losses(self) -> ExampleLosses:
        losses = worst(self.progress, self.job.training)
        return ExampleLosses(step=self.progress.step, losses=losses)

    def choose_final_weights(self) -> None:
        """Those of the best evaluation, where the settings want them and it was an earlier one."""
        self.model_step = self.progress.step
        if self.job.keeps_best and self.progress.best_step and not self.is_at_best:
            self.best.put_back(self.trainable)
            self.model_step = self.progress.best_step

    def save_adapter(self, folder: Path) -> Saved:
        write_folder(folder, model_files(self.model, self.job.settings, self.job.base))
        return Saved(step=self.progress.step, epoch=self.epoch, path=str(folder), is_adapter=True)

    def finished(self) -> Finished:
        progress = self.progress
        is_best = self.model_step == progress.best_step
        return Finished(
            step=progress.step,
            epoch=self.epoch,
            train_loss=progress.mean_train_loss,
            validation_loss=progress.best_loss if is_best else progress.validation_loss,
            ending=self.ending or "complete",
            model_step=self.model_step,
            steps=self.clock.steps,
            wall_seconds=time.perf_counter() - self.clock.started,
            examples_per_second=self.clock.examples_per_second,
        )

    @property
    def epoch(self) -> float:
        return self.progress.step / self.job.steps_per_epoch

    def release(self) -> None:
        """Free the weights now: the model holds cycles that would keep them for a while."""
        self.best.forget()
        self.model = self.optimizer = self.trainable = None
        self.path = self.training = self.validation = None
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _learn(self, step: int, indices: Sequence[int]) -> BatchLoss:
        # Each step draws its randomness from (seed, step) alone: a resumed run needs no memory of
        # it, and the caller's own random state is left as it was.
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed((self.job.settings.seed << 32) + step)
            loss: BatchLoss = self.training.step(self.model, indices)
            return loss

    def _check_finite(self, value: float, name: str, step: int) -> None:
        if not math.isfinite(value):
            raise diverged(value, name, step, self.job.learning_rate, self.checkpoints.newest_step)

    def _choose_precision(self) -> str:
        settings, job = self.job.settings, self.job
        sample = range(min(len(job.training), settings.batch_size))
        return choose_precision(
            settings.precision,
            rows=sum(len(job.training[index]) for index in sample),
            hidden_size=job.facts.hidden_size,
            device=self.device,
        )
