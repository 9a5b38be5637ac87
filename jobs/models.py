"""Tuning jobs and the numbers they write.

Whether a job waits, runs or ended is the state of its work item; this module adds what is tuned,
on what, with which settings, and what came of it.
"""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models, transaction
from django.urls import reverse

from datasets.models import DatasetVersion
from jobs.protocol import Point
from library.models import BaseModel, TunedModel
from tuner.settings import TuningSettings
from work.models import WorkItem
from work.status import ACTIVE

if TYPE_CHECKING:
    from accounts.models import User

KIND = "tuning"


class JobQuerySet(models.QuerySet["Job"]):
    """Queries start from the user."""

    def for_user(self, user: User) -> JobQuerySet:
        """What this person may see."""
        return self.filter(owner=user)

    def active(self) -> JobQuerySet:
        """Queued or running."""
        return self.filter(work__status__in=ACTIVE)

    def newest_first(self) -> JobQuerySet:
        """As lists show them."""
        return self.order_by("-created_at")

    def for_pages(self) -> JobQuerySet:
        """With everything that a row or a header shows."""
        # A report names up to a thousand bad lines; no row or header shows it.
        with_rows = self.select_related(
            "work", "base_model", "tuned_model", "dataset_version__dataset"
        )
        return with_rows.defer("dataset_version__report")


class Job(models.Model):
    """One tuning of one base model on one version of a dataset."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="jobs")
    work = models.OneToOneField(WorkItem, models.PROTECT, related_name="job")
    base_model = models.ForeignKey(BaseModel, models.PROTECT, related_name="jobs")
    dataset_version = models.ForeignKey(DatasetVersion, models.PROTECT, related_name="jobs")
    dataset_weight = models.FloatField(default=1.0)
    """How often each example of the first dataset occurs in an epoch; see `JobDataset`."""
    validation_version = models.ForeignKey(
        DatasetVersion, models.PROTECT, null=True, related_name="validation_jobs"
    )
    start_from = models.ForeignKey(
        TunedModel, models.SET_NULL, null=True, related_name="further_jobs"
    )
    """The tuned model this job goes on from; null begins at the base model itself."""
    started_from_name = models.CharField(max_length=60, default="", blank=True)
    """The name it had then; kept when the model is deleted."""
    start_mode = models.CharField(max_length=10, default="", blank=True)
    """One of `tuner.start.START_MODES` when it starts from an adapter, else empty."""
    tuned_model_name = models.CharField(max_length=60)
    tuned_model = models.OneToOneField(TunedModel, models.SET_NULL, null=True, related_name="job")
    settings = models.JSONField()
    """`TuningSettings.as_dict()`: the one schema of form, API and engine."""
    automatic = models.JSONField(default=list)
    """Names of the settings that were left to the studio; `settings` has what it chose."""
    facts = models.JSONField(default=dict)
    """What the engine said when it started: precision, threads, counts, learning rate."""
    total_steps = models.PositiveIntegerField(default=0)
    step = models.PositiveIntegerField(default=0)
    training_loss = models.FloatField(null=True)
    validation_loss = models.FloatField(null=True)
    example_losses = models.JSONField(default=list)
    """`[place in the training data, loss]`, worst first, once the job has finished."""
    ending = models.CharField(max_length=20, default="", blank=True)
    """Why the tuning finished, one of `tuner.events.ENDINGS`; empty before that."""
    model_step = models.PositiveIntegerField(null=True)
    """The step whose weights became the tuned model."""
    last_seq = models.PositiveIntegerField(default=0)
    predicted_seconds = models.FloatField(null=True)
    """From the timed steps alone; compared with the truth to correct the next prediction."""
    seconds_per_step = models.FloatField(null=True)
    """Averaged over this run so far, evaluations and saving included."""
    request_id = models.UUIDField(default=uuid.uuid4, unique=True)
    """Made with the form: the same form sent twice is one job."""
    created_at = models.DateTimeField(auto_now_add=True)

    objects = JobQuerySet.as_manager()

    def __str__(self) -> str:
        return self.tuned_model_name

    def get_absolute_url(self) -> str:
        """The job's page."""
        return reverse("jobs:detail", args=[self.pk])

    def delete_with_files(self) -> None:
        """Remove the job, its points, log and checkpoints. The tuned model stays in the library.

        Only for a job that has ended: a worker would go on writing.
        """
        work, folder = self.work, self.folder
        with transaction.atomic():
            self.delete()
            work.delete()
            transaction.on_commit(lambda: shutil.rmtree(folder, ignore_errors=True))

    @property
    def tuning_settings(self) -> TuningSettings:
        """The settings as the engine takes them."""
        return TuningSettings.from_dict(self.settings)

    @property
    def learning_rate(self) -> float:
        """The highest of the run, as the engine takes it."""
        return self.tuning_settings.learning_rate_for(self.base_model.parameters)

    @property
    def epochs(self) -> int:
        """How often all examples are gone through."""
        return self.tuning_settings.epochs

    @property
    def progress(self) -> float:
        """Steps done, 0 to 1."""
        return self.step / self.total_steps if self.total_steps else 0.0

    @property
    def remaining_seconds(self) -> float | None:
        """From the steps so far; None before the first."""
        if not self.seconds_per_step or not self.work.is_active:
            return None
        return (self.total_steps - self.step) * self.seconds_per_step

    @property
    def group(self) -> str:
        """The channel group of the pages that watch this job."""
        return f"job_{self.pk}"

    @property
    def folder(self) -> Path:
        """Checkpoints, by token and step."""
        return Path(settings.DATA_DIR) / "jobs" / str(self.pk)


class JobDataset(models.Model):
    """A dataset that is mixed in beside the job's first one."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="more_datasets")
    version = models.ForeignKey(DatasetVersion, models.PROTECT, related_name="mixed_into")
    weight = models.FloatField(default=1.0)
    """How often each of its examples occurs in an epoch. Of no meaning for a replay dataset."""
    is_replay = models.BooleanField(default=False)
    """General conversations against forgetting: as many as the setting `replay_share` asks for."""

    class Meta:
        ordering = ["is_replay", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["job", "version"], name="one_mixture_part_a_version")
        ]

    def __str__(self) -> str:
        return f"{self.version} in {self.job}"


class MetricPoint(models.Model):
    """One number at one step. `seq` counts a job's points and is never used again."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="points")
    seq = models.PositiveIntegerField()
    name = models.CharField(max_length=40)
    step = models.PositiveIntegerField()
    epoch = models.FloatField()
    value = models.FloatField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "name", "step"], name="one_point_a_step"),
            models.UniqueConstraint(fields=["job", "seq"], name="one_point_a_seq"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.value} at step {self.step}"

    def as_message(self) -> Point:
        """As pages receive it."""
        return Point(
            seq=self.seq, name=self.name, step=self.step, epoch=self.epoch, value=self.value
        )


class JobSample(models.Model):
    """What the model answered to one of the job's fixed prompts at one evaluation."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="samples")
    step = models.PositiveIntegerField()
    epoch = models.FloatField()
    position = models.PositiveSmallIntegerField()
    """Which of the prompts: the same number is the same prompt at every step."""
    prompt = models.TextField()
    answer = models.TextField()
    expected = models.TextField()

    class Meta:
        ordering = ["step", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["job", "step", "position"], name="one_sample_a_prompt_a_step"
            )
        ]

    def __str__(self) -> str:
        return f"answer {self.position} at step {self.step}"


class JobLogLine(models.Model):
    """One line of a job's log, as the page shows it."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="log_lines")
    created_at = models.DateTimeField(auto_now_add=True)
    text = models.CharField(max_length=500)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.text


class Checkpoint(models.Model):
    """A checkpoint exists when its row exists: files first, then the token-guarded row."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="checkpoints")
    step = models.PositiveIntegerField()
    epoch = models.FloatField()
    folder_name = models.CharField(max_length=120)
    """Below the job's folder."""
    last_seq = models.PositiveIntegerField()
    """The newest point when it was saved; later ones go when the job resumes from here."""
    validation_loss = models.FloatField(null=True)
    is_best = models.BooleanField(default=False)
    """The lowest validation loss of the job so far; at most one of a job."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "step"], name="one_checkpoint_a_step")
        ]

    def __str__(self) -> str:
        return f"step {self.step}"

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.job.folder / self.folder_name
