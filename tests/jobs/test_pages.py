"""The pages of jobs: what they show, what they refuse, and to whom."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import User
from datasets.models import Dataset
from jobs.models import Job
from library.models import BaseModel
from tests.jobs.conftest import JobMaker, run
from work.models import Worker, WorkItem
from work.status import Status


@pytest.fixture
def page(client: Client, alice: User) -> Client:
    """Alice's browser."""
    client.force_login(alice)
    return client


def test_the_page_shows_a_finished_job(page: Client, make_job: JobMaker) -> None:
    job = run(make_job())
    answer = page.get(f"/jobs/{job.pk}/").content.decode()
    assert 'data-status="succeeded"' in answer
    assert "Finished" in answer
    assert f"/playground/?model={job.tuned_model_id}" in answer
    assert "Saved a checkpoint at step 18." in answer


def test_the_page_says_when_no_worker_runs(page: Client, make_job: JobMaker) -> None:
    job = make_job()
    assert "No tuning worker is running" in page.get(f"/jobs/{job.pk}/").content.decode()


def test_the_page_says_when_the_broker_is_away(
    page: Client, make_job: JobMaker, settings: object
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"  # type: ignore[attr-defined]
    Worker.beat("somewhere", "gpu")
    job = make_job()
    assert "The broker is away" in page.get(f"/jobs/{job.pk}/").content.decode()


def test_the_pages_say_when_the_disk_is_nearly_full(
    page: Client, make_job: JobMaker, settings: object
) -> None:
    job = make_job()
    settings.FREE_DISK_MINIMUM_BYTES = 10**18  # type: ignore[attr-defined]
    for address in ("/", "/jobs/new/", f"/jobs/{job.pk}/"):
        assert "The disk is nearly full" in page.get(address).content.decode()


@pytest.mark.usefixtures("running_broker")
def test_a_waiting_job_says_its_position(page: Client, make_job: JobMaker) -> None:
    Worker.beat("somewhere", "gpu")
    job = make_job()
    answer = page.get(f"/jobs/{job.pk}/header/").content.decode()
    assert "Position in the queue: 1" in answer
    assert "<html" not in answer


def test_cancel_answers_htmx_with_the_header(page: Client, make_job: JobMaker) -> None:
    job = make_job()
    answer = page.post(f"/jobs/{job.pk}/cancel/", headers={"HX-Request": "true"}).content.decode()
    assert 'data-status="cancelled"' in answer
    assert "No tuned model was made" in answer
    assert "<html" not in answer


def test_a_failed_job_can_be_tried_again(page: Client, make_job: JobMaker) -> None:
    job = make_job()
    WorkItem.objects.filter(pk=job.work_id).update(status=Status.FAILED, error="The disk is full.")
    assert "The disk is full." in page.get(f"/jobs/{job.pk}/").content.decode()
    page.post(f"/jobs/{job.pk}/retry/")
    job.work.refresh_from_db()
    assert job.work.status == Status.QUEUED


@pytest.mark.parametrize("address", ["", "header/", "metrics/", "numbers/", "delete/"])
def test_a_stranger_sees_nothing(
    client: Client, bob: User, make_job: JobMaker, address: str
) -> None:
    job = make_job()
    assert client.get(f"/jobs/{job.pk}/{address}").status_code == 302
    client.force_login(bob)
    assert client.get(f"/jobs/{job.pk}/{address}").status_code == 404


@pytest.mark.parametrize("verb", ["cancel", "retry", "delete"])
def test_a_stranger_changes_nothing(
    client: Client, bob: User, make_job: JobMaker, verb: str
) -> None:
    job = make_job()
    client.force_login(bob)
    assert client.post(f"/jobs/{job.pk}/{verb}/").status_code == 404
    job.work.refresh_from_db()
    assert (job.work.status, job.work.stop_requested) == (Status.QUEUED, False)


def test_a_deleted_job_takes_its_files_and_leaves_its_model(
    page: Client, make_job: JobMaker
) -> None:
    job = run(make_job())
    assert "stays in your library" in page.get(f"/jobs/{job.pk}/delete/").content.decode()
    page.post(f"/jobs/{job.pk}/delete/")
    assert not Job.objects.exists()
    assert not WorkItem.objects.filter(pk=job.work_id).exists()
    assert not job.folder.exists()
    assert job.tuned_model is not None
    assert (job.tuned_model.folder / "adapter_config.json").is_file()
    assert page.get(f"/library/{job.tuned_model.pk}/").status_code == 200


def test_a_job_that_has_not_ended_is_not_deleted(page: Client, make_job: JobMaker) -> None:
    job = make_job()
    answer = page.post(f"/jobs/{job.pk}/delete/", follow=True)
    assert "Cancel it first" in answer.content.decode()
    assert Job.objects.filter(pk=job.pk).exists()


def test_metrics_after_a_point(page: Client, make_job: JobMaker) -> None:
    job = run(make_job())
    answer = page.get(f"/jobs/{job.pk}/metrics/?since={job.last_seq - 2}").json()
    assert [point["seq"] for point in answer["points"]] == [job.last_seq - 1, job.last_seq]
    assert (answer["newest_step"], answer["status"]) == (18, "succeeded")


def test_the_table_has_a_row_for_each_epoch(page: Client, make_job: JobMaker) -> None:
    job = run(make_job())
    answer = page.get(f"/jobs/{job.pk}/numbers/")
    rows = answer.context["rows"]
    assert [(row["epoch"], row["step"]) for row in rows] == [(1.0, 9), (2.0, 18)]
    assert all(row["training_loss"] and row["validation_loss"] for row in rows)


def test_the_rail_shows_what_runs(page: Client, make_job: JobMaker) -> None:
    make_job("on the rail")
    assert "on the rail" in page.get("/jobs/running/").content.decode()


def test_sample_data_is_one_button_from_a_job(
    page: Client, tiny_base: BaseModel, settings: object
) -> None:
    answer = page.post("/start/next-number/")
    job = Job.objects.get()
    assert answer["Location"] == f"/jobs/{job.pk}/"
    assert job.dataset_version.example_count >= 120
    page.post("/start/next-number/")
    assert Dataset.objects.count() == 1
    assert page.post("/start/no-such-sample/").status_code == 404


def test_the_first_page_waits_for_the_base_model_in_words(
    page: Client, tiny_base: BaseModel
) -> None:
    WorkItem.objects.filter(pk=tiny_base.work_id).update(
        status=Status.RUNNING, phase="downloading", progress=0.43
    )
    answer = page.get("/").content.decode()
    assert "downloading, 43 %" in answer
    assert page.post("/start/next-number/").status_code == 422
