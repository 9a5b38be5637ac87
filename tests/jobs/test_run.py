"""A job from the queue to the library, with the real engine on the small model."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs import recorder
from jobs.models import Job
from library.models import TunedModel
from tests.jobs.conftest import JobMaker, claimed, losses, run, steps
from tuner.events import Event, Step
from work import runner as work_runner
from work.models import WorkItem
from work.status import Status


def test_a_finished_job_has_every_point_and_a_model(make_job: JobMaker, data_dir: Path) -> None:
    job = run(make_job())
    assert job.work.status == Status.SUCCEEDED, job.work.error
    assert job.total_steps == 18
    assert steps(job) == list(range(1, 19))
    assert steps(job, "validation/loss") == [9, 18]
    assert losses(job)[-1] < losses(job)[0]
    model = job.tuned_model
    assert model is not None
    assert (model.folder / "adapter_config.json").is_file()
    assert model.provenance["dataset"] == "numbers"
    assert model.validation_loss == job.validation_loss
    assert len(model.loss_curve) == 18


def test_a_finished_job_leaves_one_adapter_and_no_checkpoints(
    make_job: JobMaker, data_dir: Path
) -> None:
    job = run(make_job(epochs=4))
    assert job.tuned_model is not None
    assert list((data_dir / "adapters").iterdir()) == [job.tuned_model.folder]
    assert not job.folder.exists()
    assert not job.checkpoints.exists()


def test_an_unfinished_job_keeps_its_two_newest_checkpoints(
    make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, 30, lambda recorder: recorder.job.work.request_cancel())
    job = run(make_job(epochs=4))
    kept = sorted(job.checkpoints.values_list("step", flat=True))
    assert kept == [18, 27]
    assert sorted(path.name for path in job.folder.iterdir()) == ["1-18", "1-27"]


def test_points_are_numbered_without_a_gap(make_job: JobMaker) -> None:
    job = run(make_job())
    seqs = list(job.points.order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(1, job.last_seq + 1))


def test_a_job_without_validation_makes_a_model_too(make_job: JobMaker) -> None:
    job = run(make_job(validation_share=0.0))
    assert job.work.status == Status.SUCCEEDED, job.work.error
    assert job.validation_loss is None
    assert job.tuned_model is not None


def stop_at(
    monkeypatch: pytest.MonkeyPatch, step: int, action: Callable[[recorder.Recorder], object]
) -> None:
    """Have something happen from outside right after a step was recorded."""
    record = recorder.Recorder.record

    def record_then_act(self: recorder.Recorder, event: Event) -> None:
        record(self, event)
        if isinstance(event, Step) and event.step == step:
            action(self)

    monkeypatch.setattr(recorder.Recorder, "record", record_then_act)


def test_a_cancelled_job_keeps_the_points_it_had(
    make_job: JobMaker, monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    stop_at(monkeypatch, 3, lambda recorder: recorder.job.work.request_cancel())
    job = run(make_job())
    assert job.work.status == Status.CANCELLED
    assert steps(job) == [1, 2, 3]
    assert job.tuned_model is None
    assert not list((data_dir / "adapters").glob("*"))
    assert "Cancelled at step 3 of 18" in job.log_lines.latest("pk").text


def test_a_worker_told_to_go_saves_and_another_goes_on_to_the_same_losses(
    make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    uninterrupted = losses(run(make_job("uninterrupted", lora_dropout=0.1)))
    job = make_job("interrupted", lora_dropout=0.1)
    with monkeypatch.context() as patch:
        stop_at(patch, 5, lambda recorder: os.kill(os.getpid(), signal.SIGTERM))
        claim = claimed(job)
        with work_runner.stopping_releases(claim):
            work_runner.run(claim)
    job.work.refresh_from_db()
    assert job.work.status == Status.QUEUED
    assert job.checkpoints.get().step == 5
    job = run(job)
    assert job.work.status == Status.SUCCEEDED, job.work.error
    assert steps(job) == list(range(1, 19))
    assert losses(job) == uninterrupted


def test_a_killed_run_is_cut_back_to_its_checkpoint_and_repeated(
    make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job()
    claim = claimed(job)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):

        def die(recorder: recorder.Recorder) -> None:
            recorder.flush()
            raise KeyboardInterrupt

        stop_at(patch, 13, die)
        work_runner.run(claim)
    assert steps(job)[-1] == 13
    WorkItem.objects.filter(pk=job.work_id).update(status=Status.QUEUED)
    job.work.refresh_from_db()
    seq_before = Job.objects.get(pk=job.pk).last_seq
    job = run(job)
    assert job.work.status == Status.SUCCEEDED, job.work.error
    assert steps(job) == list(range(1, 19))
    assert job.points.get(name="train/loss", step=10).seq > seq_before


def test_a_name_taken_meanwhile_gets_a_number(make_job: JobMaker) -> None:
    job = make_job("taken")
    TunedModel.objects.create(owner=job.owner, name="taken", base=job.base_model, folder_name="x")
    assert str(run(job).tuned_model) == "taken 2"


def test_a_broken_base_model_fails_with_a_sentence(make_job: JobMaker) -> None:
    job = make_job()
    weights = job.base_model.folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    job = run(job)
    assert job.work.status == Status.FAILED
    assert "model.safetensors is damaged" in job.work.error
    assert "Traceback" not in job.work.error
