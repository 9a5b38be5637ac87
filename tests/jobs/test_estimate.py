"""Minutes come from this machine: its timed steps, and what its last jobs really took."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from datasets.models import Dataset
from jobs import estimate
from jobs.models import Job
from library.models import BaseModel
from tests.jobs.conftest import JobMaker
from tuner.plan import Timing
from tuner.settings import TuningSettings
from work.models import WorkItem
from work.status import Status

SETTINGS = TuningSettings(epochs=5, batch_size=4, validation_share=0.15)
TIMING = Timing(
    start_seconds=1.0,
    seconds_per_step=2.0,
    seconds_per_token=0.0,
    evaluation_seconds_per_token=0.0,
    save_seconds=0.0,
    shared_tokens=0,
)


@pytest.fixture
def timed_base(tiny_base: BaseModel) -> BaseModel:
    """A base model on which a step takes two seconds here."""
    tiny_base.timing = TIMING.as_dict()
    tiny_base.save()
    return tiny_base


def finish(job: Job, seconds: float, claims: int = 1) -> None:
    """Let a job have taken so long."""
    now = timezone.now()
    WorkItem.objects.filter(pk=job.work_id).update(
        status=Status.SUCCEEDED,
        token=claims,
        started_at=now - timedelta(seconds=seconds),
        finished_at=now,
    )


def test_there_is_no_number_without_a_measurement(dataset: Dataset, tiny_base: BaseModel) -> None:
    prediction = estimate.predict(dataset.current, tiny_base, SETTINGS)
    assert prediction.seconds is None
    assert (prediction.training_examples, prediction.validation_examples) == (34, 6)
    assert prediction.steps == 45


def test_timed_steps_give_the_first_number(dataset: Dataset, timed_base: BaseModel) -> None:
    prediction = estimate.predict(dataset.current, timed_base, SETTINGS)
    assert prediction.seconds == pytest.approx(1 + 45 * 2)


def test_a_validation_dataset_leaves_all_examples_to_training(
    dataset: Dataset, timed_base: BaseModel
) -> None:
    prediction = estimate.predict(dataset.current, timed_base, SETTINGS, dataset.current)
    assert (prediction.training_examples, prediction.validation_examples) == (40, 40)


def test_the_last_jobs_correct_it(
    dataset: Dataset, timed_base: BaseModel, make_job: JobMaker
) -> None:
    job = make_job(epochs=5, validation_share=0.15)
    assert job.predicted_seconds == pytest.approx(91)
    finish(job, seconds=182)
    prediction = estimate.predict(dataset.current, timed_base, SETTINGS)
    assert prediction.seconds == pytest.approx(182, rel=0.01)
    assert prediction.raw_seconds == pytest.approx(91)


def test_a_job_that_was_interrupted_teaches_nothing(
    dataset: Dataset, timed_base: BaseModel, make_job: JobMaker
) -> None:
    finish(make_job(epochs=5, validation_share=0.15), seconds=9000, claims=2)
    prediction = estimate.predict(dataset.current, timed_base, SETTINGS)
    assert prediction.seconds == pytest.approx(91)


def test_a_base_model_whose_files_are_gone_gives_no_number(
    dataset: Dataset, timed_base: BaseModel
) -> None:
    (timed_base.folder / "tokenizer.json").unlink()
    assert estimate.predict(dataset.current, timed_base, SETTINGS).seconds is None
