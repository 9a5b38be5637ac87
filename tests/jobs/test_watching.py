"""What the page of a job shows beside its loss, and what a person can ask of a running job."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client

from accounts.models import User
from datasets import intake
from jobs import recorder, samples
from jobs.models import Job, JobSample
from jobs.series import CHARTS
from jobs.worst import worst_examples
from tests.jobs.conftest import JobMaker, claimed, run, steps
from tests.jobs.test_run import stop_at
from work import runner as work_runner
from work.models import WorkItem
from work.status import Status


@pytest.fixture
def page(client: Client, alice: User) -> Client:
    """Alice's browser."""
    client.force_login(alice)
    return client


def asks(wish: Callable[[WorkItem], bool]) -> Callable[[recorder.Recorder], object]:
    """A person who presses a button while the job runs."""
    return lambda recorder: wish(recorder.job.work)


def test_every_metric_has_a_point_for_each_step_of_a_short_job(make_job: JobMaker) -> None:
    job = run(make_job())
    for chart in CHARTS:
        assert steps(job, chart.training) == list(range(1, 19))
        if chart.validation:
            assert steps(job, chart.validation) == [9, 18]


def test_a_long_job_writes_its_details_only_every_so_many_steps(
    make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "DETAIL_POINTS", 6)
    job = run(make_job())
    assert steps(job) == list(range(1, 19))
    assert steps(job, "train/memory_bytes") == [1, 3, 6, 9, 12, 15, 18]


def test_the_fixed_prompts_are_kept_with_their_answers_at_each_evaluation(
    make_job: JobMaker, page: Client
) -> None:
    job = run(make_job())
    rows = list(job.samples.values_list("step", "position", "prompt"))
    assert [(step, position) for step, position, _ in rows] == [
        (step, position) for step in (9, 18) for position in (0, 1, 2)
    ]
    assert [prompt for _, _, prompt in rows[:3]] == [prompt for _, _, prompt in rows[3:]]
    fragment = page.get(f"/jobs/{job.pk}/samples/").content.decode()
    assert 'data-step="18"' in fragment
    assert all(prompt in fragment for _, _, prompt in rows)
    assert page.get(f"/jobs/{job.pk}/metrics/").json()["sampled_step"] == 18


def test_answers_that_stay_the_same_are_told_once_newest_first(make_job: JobMaker) -> None:
    job = make_job()
    for step, answer in ((2, "forty"), (4, "41"), (6, "41 "), (8, "42")):
        JobSample.objects.create(
            job=job, step=step, epoch=1.0, position=0, prompt="41?", answer=answer, expected="42"
        )
    (probe,) = samples.probes_of(job)
    told = [(span.text, span.first_step, span.last_step) for span in probe.spans]
    assert told == [("42", 8, 8), ("41", 4, 6), ("forty", 2, 2)]
    assert [span.is_expected for span in probe.spans] == [True, False, False]


def test_a_job_shows_what_it_learned_worst_with_the_way_to_it(
    make_job: JobMaker, page: Client
) -> None:
    job = run(make_job())
    worst = worst_examples(job)
    assert len(worst) == 36
    assert [example.loss for example in worst] == sorted(
        (example.loss for example in worst), reverse=True
    )
    texts = {example.row.example.prompt_text for example in worst}
    held_out = {sample.prompt for sample in job.samples.all()}
    assert len(texts) == 36
    assert not texts & held_out
    first = worst[0]
    assert first.row.example.prompt_text == f"what follows {first.row.number - 1}?"
    fragment = page.get(f"/jobs/{job.pk}/worst/").content.decode()
    assert first.address in fragment
    assert "?page=" in first.address
    assert first.row.example.prompt_text in page.get(first.address.split("#")[0]).content.decode()


def test_a_checkpoint_is_saved_when_a_person_asks_and_the_job_goes_on(
    make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, 4, asks(WorkItem.request_save))
    job = run(make_job())
    saved = [line.text for line in job.log_lines.all() if "Saved a checkpoint" in line.text]
    assert saved == [f"Saved a checkpoint at step {step}." for step in (4, 9, 18)]
    assert not job.work.save_requested
    assert steps(job) == list(range(1, 19))


def test_stop_and_save_makes_a_model_of_what_was_learned(
    make_job: JobMaker, monkeypatch: pytest.MonkeyPatch, page: Client
) -> None:
    stop_at(monkeypatch, 4, asks(WorkItem.request_finish))
    job = run(make_job())
    assert job.work.status == Status.SUCCEEDED, job.work.error
    assert (job.ending, job.step, job.model_step) == ("stopped by hand", 4, 4)
    assert job.tuned_model is not None
    assert "stopped by hand at step 4 of 18" in page.get(f"/jobs/{job.pk}/").content.decode()


def test_a_job_that_stopped_early_says_so_and_which_weights_it_kept(
    make_job: JobMaker, page: Client
) -> None:
    chosen = {"epochs": 10, "evaluate_every_steps": 2, "early_stopping_patience": 1}
    job = run(make_job(**chosen, learning_rate=0.3))
    assert job.work.status == Status.SUCCEEDED, job.work.error
    assert job.ending == "stopped early"
    assert job.model_step is not None
    assert job.model_step < job.step < job.total_steps
    best = job.points.get(name="validation/loss", step=job.model_step)
    assert job.validation_loss == best.value
    answer = page.get(f"/jobs/{job.pk}/").content.decode()
    assert f"stopped early at step {job.step} of {job.total_steps}" in answer
    assert f"The weights of step {job.model_step}, the best evaluation" in answer


def test_the_best_checkpoint_stays_beside_the_newest(
    make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, 40, asks(WorkItem.request_cancel))
    job = run(make_job(epochs=5, learning_rate=0.3, checkpoints_kept=1))
    best = job.points.filter(name="validation/loss").order_by("value", "step")[0].step
    kept = {checkpoint.step: checkpoint.is_best for checkpoint in job.checkpoints.all()}
    assert kept == {36: best == 36, best: True}
    assert len(list(job.folder.iterdir())) == len(kept)


def test_a_run_that_is_repeated_forgets_the_answers_after_its_checkpoint(
    make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(evaluate_every_steps=6, final_model="last")
    claim = claimed(job)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):

        def die(recorder: recorder.Recorder) -> None:
            recorder.flush()
            raise KeyboardInterrupt

        stop_at(patch, 14, die)
        work_runner.run(claim)
    assert sorted(set(job.samples.values_list("step", flat=True))) == [6, 12]
    WorkItem.objects.filter(pk=job.work_id).update(status=Status.QUEUED)
    job.work.refresh_from_db()
    job = run(job)
    assert job.work.status == Status.SUCCEEDED, job.work.error
    assert sorted(set(job.samples.values_list("step", flat=True))) == [6, 12, 18]


@pytest.mark.parametrize(
    ("verb", "field"), [("save-now", "save_requested"), ("finish", "finish_requested")]
)
def test_a_running_job_can_be_asked_and_says_so(
    page: Client, bob: User, make_job: JobMaker, verb: str, field: str
) -> None:
    job = make_job()
    address = f"/jobs/{job.pk}/{verb}/"
    page.post(address)
    job.work.refresh_from_db()
    assert not getattr(job.work, field), "nobody works on a job that waits"
    WorkItem.objects.filter(pk=job.work_id).update(status=Status.RUNNING)
    Job.objects.filter(pk=job.pk).update(step=1)
    answer = page.post(address, headers={"HX-Request": "true"}).content.decode()
    job.work.refresh_from_db()
    assert getattr(job.work, field)
    assert "after this step" in answer
    page.force_login(bob)
    assert page.post(address).status_code == 404


@pytest.mark.parametrize("address", ["samples/", "worst/"])
def test_a_stranger_sees_neither_answers_nor_examples(
    client: Client, bob: User, make_job: JobMaker, address: str
) -> None:
    job = make_job()
    client.force_login(bob)
    assert client.get(f"/jobs/{job.pk}/{address}").status_code == 404


def test_places_of_examples_are_found_again_in_a_mixture(
    make_job: JobMaker, alice: User, tmp_path: Path
) -> None:
    job = make_job()
    file = tmp_path / "colours.jsonl"
    rows = [{"text_input": f"colour {n}", "output": "red"} for n in range(20)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    other = intake.create_dataset(alice, "colours", file)
    job.more_datasets.create(version=other.current, weight=2.0)
    job = run(job)
    worst = worst_examples(job)
    texts = [example.row.example.prompt_text for example in worst]
    assert len(texts) == len(set(texts)) == 36 + 18
    assert sum(text.startswith("colour") for text in texts) == 18
    colour = next(e for e in worst if e.row.example.prompt_text.startswith("colour"))
    assert str(other.pk) in colour.address


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_at(patch, 20, asks(WorkItem.request_cancel))
        job = run(make_job(epochs=3))
    newest = job.checkpoints.get(step=18).folder / "weights.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    job.work.requeue()
    job = run(job)
    assert job.work.status == Status.SUCCEEDED, job.work.error
    told = [line.text for line in job.log_lines.all()]
    assert any("checkpoint at step 18 is missing or damaged" in text for text in told)
    assert "Going on from the checkpoint at step 9." in told
    assert steps(job) == list(range(1, 28))
