"""Write what the engine says into the database, then tell the pages that are open.

Database first, socket second: a message that is lost costs a page nothing, because it asks again
for everything after the last point it has.
"""

from __future__ import annotations

import math
import shutil
import time
from pathlib import Path
from typing import assert_never

from django.conf import settings

from jobs.models import Checkpoint, Job, JobLogLine, JobSample, MetricPoint
from jobs.protocol import (
    CheckpointMessage,
    LogMessage,
    Message,
    MetricsMessage,
    RewindMessage,
)
from jobs.samples import samples_message
from jobs.series import (
    DETAIL_POINTS,
    GRADIENT_NORM,
    LEARNING_RATE,
    MEMORY,
    TOKEN_ACCURACY,
    TOKENS_PER_SECOND,
    TRAINING_LOSS,
    VALIDATION_ACCURACY,
    VALIDATION_LOSS,
)
from tuner.events import (
    Evaluated,
    Event,
    ExampleLosses,
    Finished,
    Phase,
    Sampled,
    Saved,
    Started,
    Step,
)
from web import live
from work.claim import Claim

BATCH_SECONDS = 0.2


class Recorder:
    """Records one run of one job. Every write holds only while the claim does."""

    def __init__(self, job: Job, claim: Claim) -> None:
        self.job = job
        self.claim = claim
        self.pending: list[MetricPoint] = []
        self.flushed_at = -math.inf
        self.first_step = job.step
        self.tuning_since = time.monotonic()
        self.best_step: int | None = None

    def record(self, event: Event) -> None:
        """Take one event of the engine."""
        match event:
            case Phase():
                self.flush()
                self.claim.set_phase(event.name)
            case Started():
                self.started(event)
            case Step():
                self.stepped(event)
            case Evaluated():
                self.evaluated(event)
            case Sampled():
                self.sampled(event)
            case Saved():
                self.saved(event)
            case ExampleLosses():
                self.job.example_losses = [list(pair) for pair in event.losses]
                self.save("example_losses")
            case Finished():
                self.finished(event)
            case _:
                assert_never(event)  # type: ignore[arg-type]
        self.claim.made_progress()

    # --- events ----------------------------------------------------------------------------
    def started(self, event: Started) -> None:
        """Say what will be done."""
        self.job.total_steps = event.total_steps
        self.job.facts = event.as_dict()
        self.first_step = self.job.step = event.step
        self.tuning_since = time.monotonic()
        self.save("total_steps", "facts", "step")
        self.log(
            f"Tuning on {event.training_examples} examples in {event.total_steps} steps; "
            f"{event.validation_examples} held out for validation. "
            f"{event.trainable_parameters:,} weights learn, in {event.precision} "
            f"on {event.threads} threads."
        )
        if event.dropped_examples:
            self.log(
                f"{event.dropped_examples} examples are longer than the maximum length and were "
                "left out."
            )

    def stepped(self, event: Step) -> None:
        """Points of one step; written at once when the last write is long enough ago."""
        self.job.step = event.step
        self.job.training_loss = event.train_loss
        done = event.step - self.first_step
        self.job.seconds_per_step = (time.monotonic() - self.tuning_since) / done
        self.add(TRAINING_LOSS, event.step, event.epoch, event.train_loss)
        if self.is_detailed(event.step):
            self.add(TOKEN_ACCURACY, event.step, event.epoch, event.token_accuracy)
            self.add(LEARNING_RATE, event.step, event.epoch, event.learning_rate)
            self.add(GRADIENT_NORM, event.step, event.epoch, event.gradient_norm)
            self.add(TOKENS_PER_SECOND, event.step, event.epoch, event.tokens / event.seconds)
            self.add(MEMORY, event.step, event.epoch, event.memory_bytes)
        if time.monotonic() - self.flushed_at >= BATCH_SECONDS:
            self.flush()

    def is_detailed(self, step: int) -> bool:
        """Whether the step has points beside its loss: of a long job only every so many do.

        By the step's number alone, so that a resumed run writes the same ones again.
        """
        return step % max(1, self.job.total_steps // DETAIL_POINTS) == 0 or step == 1

    def evaluated(self, event: Evaluated) -> None:
        """The validation loss, written at once."""
        self.job.validation_loss = event.validation_loss
        self.add(VALIDATION_LOSS, event.step, event.epoch, event.validation_loss)
        self.add(VALIDATION_ACCURACY, event.step, event.epoch, event.token_accuracy)
        self.flush()
        best = ", the best so far" if event.is_best else ""
        if event.is_best:
            self.best_step = event.step
            with self.claim.fenced():
                self.job.checkpoints.update(is_best=False)
        self.log(
            f"Epoch {event.epoch:g}: validation loss {event.validation_loss:.4f} "
            f"at step {event.step}{best}."
        )

    def sampled(self, event: Sampled) -> None:
        """What the model answers now to the fixed prompts."""
        rows = [
            JobSample(
                job=self.job,
                step=event.step,
                epoch=event.epoch,
                position=position,
                prompt=sample.prompt,
                answer=sample.answer,
                expected=sample.expected,
            )
            for position, sample in enumerate(event.samples)
        ]
        with self.claim.fenced():
            JobSample.objects.bulk_create(rows)
        self.publish(samples_message(rows))

    def saved(self, event: Saved) -> None:
        """A checkpoint's row, now that its files are whole."""
        if event.is_adapter:
            return  # the runner puts it into the library
        self.flush()
        is_best = event.step == self.best_step
        with self.claim.fenced():
            Checkpoint.objects.update_or_create(
                job=self.job,
                step=event.step,
                defaults={
                    "epoch": event.epoch,
                    "folder_name": Path(event.path).name,
                    "last_seq": self.job.last_seq,
                    "validation_loss": self.job.validation_loss,
                    "is_best": is_best,
                },
            )
        self.drop_old_checkpoints()
        self.publish(
            CheckpointMessage(
                type="checkpoint", step=event.step, epoch=event.epoch, is_best=is_best
            )
        )
        self.log(f"Saved a checkpoint at step {event.step}.")

    def drop_old_checkpoints(self) -> None:
        """Keep the newest few and the best: rows first, so that none points at files gone."""
        kept = self.job.tuning_settings.checkpoints_kept
        older = self.job.checkpoints.order_by("-step")[kept:]
        old = [checkpoint for checkpoint in older if not checkpoint.is_best]
        with self.claim.fenced():
            self.job.checkpoints.filter(pk__in=[checkpoint.pk for checkpoint in old]).delete()
        for checkpoint in old:
            shutil.rmtree(checkpoint.folder, ignore_errors=True)

    def finished(self, event: Finished) -> None:
        """The last losses, why it ended and with which weights, and how fast it was."""
        if event.train_loss is not None:
            self.job.training_loss = event.train_loss
        if event.validation_loss is not None:
            self.job.validation_loss = event.validation_loss
        self.job.ending = event.ending
        self.job.model_step = event.model_step
        self.flush()
        self.save("training_loss", "validation_loss", "ending", "model_step")
        if event.model_step != event.step:
            self.log(f"The weights of step {event.model_step}, the best evaluation, are the model.")
        self.log(
            f"Finished {event.steps} steps in {event.wall_seconds:.0f} s, "
            f"{event.examples_per_second:.1f} examples a second."
        )

    # --- writing ---------------------------------------------------------------------------
    def add(self, name: str, step: int, epoch: float, value: float) -> None:
        """Number a point and keep it for the next write."""
        self.job.last_seq += 1
        self.pending.append(
            MetricPoint(
                job=self.job, seq=self.job.last_seq, name=name, step=step, epoch=epoch, value=value
            )
        )

    def flush(self) -> None:
        """Write the kept points and the job's numbers in one transaction, then publish them."""
        if not self.pending:
            return
        with self.claim.fenced(progress=self.job.progress):
            MetricPoint.objects.bulk_create(self.pending)
            self.job.save(
                update_fields=[
                    "step",
                    "training_loss",
                    "validation_loss",
                    "seconds_per_step",
                    "last_seq",
                ]
            )
        points = [point.as_message() for point in self.pending]
        self.pending = []
        self.flushed_at = time.monotonic()
        self.publish(MetricsMessage(type="metrics", points=points))

    def rewind(self, checkpoint: Checkpoint | None) -> None:
        """Forget the points after the checkpoint that the run resumes from, or all of them."""
        last_seq = checkpoint.last_seq if checkpoint else 0
        self.job.step = checkpoint.step if checkpoint else 0
        self.job.validation_loss = checkpoint.validation_loss if checkpoint else None
        self.job.seconds_per_step = None
        self.job.ending, self.job.model_step, self.job.example_losses = "", None, []
        with self.claim.fenced(progress=self.job.progress):
            self.job.points.filter(seq__gt=last_seq).delete()
            self.job.checkpoints.filter(step__gt=self.job.step).delete()
            self.job.samples.filter(step__gt=self.job.step).delete()
            newest = self.job.points.filter(name=TRAINING_LOSS).order_by("-step").first()
            self.job.training_loss = newest.value if newest else None
            self.job.save(
                update_fields=[
                    "step",
                    "training_loss",
                    "validation_loss",
                    "seconds_per_step",
                    "ending",
                    "model_step",
                    "example_losses",
                ]
            )
        self.publish(RewindMessage(type="rewind", step=self.job.step))

    def log(self, text: str) -> None:
        """One line for the page."""
        with self.claim.fenced():
            line = JobLogLine.objects.create(job=self.job, text=text[:500])
        self.publish(LogMessage(type="log", number=line.pk, text=line.text))

    def save(self, *fields: str) -> None:
        """Write the named fields of the job."""
        with self.claim.fenced():
            self.job.save(update_fields=list(fields))

    def publish(self, message: Message) -> None:
        """To every page that watches this job."""
        live.publish(self.job.group, message)


def checkpoint_folder(job: Job, token: int, step: int) -> Path:
    """A folder no other run of the job writes to."""
    return Path(settings.DATA_DIR) / "jobs" / str(job.pk) / f"{token}-{step}"
