"""Minutes and memory come from this machine: its measured steps, and what its last jobs took."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from accounts.models import User
from datasets import intake
from datasets.models import Dataset
from jobs import estimate
from jobs.data_parts import Part
from jobs.models import Job
from jobs.token_counts import token_counts
from library.models import BaseModel
from tests.jobs.conftest import JobMaker, write_rows
from tuner.memory import MemoryCalibration
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
    prediction = estimate.predict([Part(version=dataset.current)], tiny_base, SETTINGS)
    assert prediction.seconds is None
    assert (prediction.training_examples, prediction.validation_examples) == (34, 6)
    assert prediction.steps == 45


def test_timed_steps_give_the_first_number(dataset: Dataset, timed_base: BaseModel) -> None:
    prediction = estimate.predict([Part(version=dataset.current)], timed_base, SETTINGS)
    assert prediction.seconds == pytest.approx(1 + 45 * 2)


def test_a_validation_dataset_leaves_all_examples_to_training(
    dataset: Dataset, timed_base: BaseModel
) -> None:
    prediction = estimate.predict(
        [Part(version=dataset.current)], timed_base, SETTINGS, dataset.current
    )
    assert (prediction.training_examples, prediction.validation_examples) == (40, 40)


def test_the_last_jobs_correct_it(
    dataset: Dataset, timed_base: BaseModel, make_job: JobMaker
) -> None:
    job = make_job(epochs=5, validation_share=0.15)
    assert job.predicted_seconds == pytest.approx(91)
    finish(job, seconds=182)
    prediction = estimate.predict([Part(version=dataset.current)], timed_base, SETTINGS)
    assert prediction.seconds == pytest.approx(182, rel=0.01)
    assert prediction.raw_seconds == pytest.approx(91)


def test_a_job_that_was_interrupted_teaches_nothing(
    dataset: Dataset, timed_base: BaseModel, make_job: JobMaker
) -> None:
    finish(make_job(epochs=5, validation_share=0.15), seconds=9000, claims=2)
    prediction = estimate.predict([Part(version=dataset.current)], timed_base, SETTINGS)
    assert prediction.seconds == pytest.approx(91)


def test_a_base_model_whose_files_are_gone_gives_no_number(
    dataset: Dataset, timed_base: BaseModel
) -> None:
    (timed_base.folder / "tokenizer.json").unlink()
    assert estimate.predict([Part(version=dataset.current)], timed_base, SETTINGS).seconds is None


def test_several_datasets_are_counted_with_their_weights_and_replay(
    dataset: Dataset, timed_base: BaseModel, alice: User, tmp_path: Path
) -> None:
    other = intake.create_dataset(alice, "more", write_rows(tmp_path / "more.jsonl", 30)).current
    parts = [
        Part(version=dataset.current, weight=2.0),
        Part(version=other, is_replay=True),
    ]
    settings = TuningSettings(batch_size=4, epochs=1, replay_share=0.2)
    prediction = estimate.predict(parts, timed_base, settings)
    assert prediction.training_examples == 100  # 40 twice, and 20 of 100 replayed
    assert prediction.steps == 25
    assert prediction.raw_seconds == pytest.approx(1 + 25 * 2)


@pytest.mark.parametrize(
    ("policy", "said"),
    [("drop", "left_out"), ("truncate", "truncated"), ("refuse", "refused")],
)
def test_examples_longer_than_the_limit_are_told(
    dataset: Dataset, timed_base: BaseModel, policy: str, said: str
) -> None:
    counts = token_counts(dataset.current.pk, timed_base.pk, "answers")
    assert counts is not None
    limit = min(counts.lengths)
    too_long = sum(length > limit for length in counts.lengths)
    settings = TuningSettings(max_length_tokens=limit, over_length=policy)
    prediction = estimate.predict([Part(version=dataset.current)], timed_base, settings)
    assert too_long > 0
    assert getattr(prediction, said) == too_long
    assert prediction.left_out + prediction.truncated + prediction.refused == too_long
    assert prediction.training_examples == (40 - too_long if policy == "drop" else 40)


def test_the_memory_of_a_job_is_planned_even_before_this_machine_was_measured(
    dataset: Dataset, tiny_base: BaseModel
) -> None:
    prediction = estimate.predict([Part(version=dataset.current)], tiny_base, SETTINGS)
    assert prediction.memory is not None
    assert prediction.memory.verdict == "fits"
    assert 0 < prediction.memory.peak_bytes < prediction.memory.available_bytes
    assert prediction.layout == "packed"
    assert not prediction.will_not_fit


def test_the_memory_of_a_gpu_is_what_was_measured(dataset: Dataset, timed_base: BaseModel) -> None:
    memory = MemoryCalibration(device="cuda", device_bytes=1e6, process_bytes=0)
    timed_base.timing |= {"memory": memory.as_dict()}
    timed_base.save()
    prediction = estimate.predict([Part(version=dataset.current)], timed_base, SETTINGS)
    assert prediction.will_not_fit
    assert prediction.memory is not None
    assert prediction.memory.available_bytes == 1_000_000
    assert prediction.memory_bar["peak"] == 100 > prediction.memory_bar["available"]


def test_jobs_of_another_method_do_not_correct_it(
    dataset: Dataset, timed_base: BaseModel, make_job: JobMaker
) -> None:
    finish(make_job(epochs=5, validation_share=0.15, method="full"), seconds=9000)
    prediction = estimate.predict([Part(version=dataset.current)], timed_base, SETTINGS)
    assert prediction.seconds == pytest.approx(91)


def test_what_auto_became_is_told(dataset: Dataset, timed_base: BaseModel) -> None:
    parts = [Part(version=dataset.current)]
    prediction = estimate.predict(parts, timed_base, SETTINGS, automatic=("epochs", "batch_size"))
    assert prediction.chosen == (("Epochs", 5), ("Batch size", 4))


def test_estimating_needs_no_torch() -> None:
    script = (
        "import sys, django; django.setup(); import jobs.estimate; "
        "print(sorted({'torch', 'transformers', 'peft'} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "studio.settings"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert answer.stdout.strip() == "[]"
