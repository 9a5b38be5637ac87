"""What may start, and what is refused at the door."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from django.db import connection

from accounts.models import User
from datasets.models import Dataset
from jobs.launch import LaunchError, Order, launch, suggest_name
from jobs.models import Job
from library.models import BaseModel, TunedModel
from tests.jobs.conftest import JobMaker
from tuner.settings import TuningSettings
from work.models import WorkItem
from work.status import Status


@pytest.fixture
def order(alice: User, dataset: Dataset, tiny_base: BaseModel) -> Order:
    return Order(
        owner=alice,
        version=dataset.current,
        base_model=tiny_base,
        tuned_model_name="counter",
        settings=TuningSettings(validation_share=0.15),
    )


def test_a_launched_job_waits_in_the_queue(order: Order) -> None:
    job = launch(order)
    assert (job.work.status, job.work.queue, job.work.owner) == (Status.QUEUED, "gpu", order.owner)
    assert job.total_steps == 5 * 9
    assert job.tuning_settings == order.settings


def test_the_same_request_sent_twice_is_one_job(order: Order) -> None:
    order = replace(order, request_id=uuid.uuid4())
    assert launch(order) == launch(order)
    assert Job.objects.count() == 1


def test_the_same_form_changed_and_sent_again_is_another_job(order: Order) -> None:
    order = replace(order, request_id=uuid.uuid4())
    first = launch(order)
    second = launch(replace(order, tuned_model_name="counter 2", settings=TuningSettings(epochs=2)))
    assert first != second
    assert (second.tuned_model_name, second.settings["epochs"]) == ("counter 2", 2)


@pytest.mark.django_db(transaction=True)
def test_two_tabs_with_one_name_make_one_job(order: Order) -> None:
    def try_to_launch(_: int) -> str:
        try:
            launch(order)
        except LaunchError as error:
            return str(error.field)
        finally:
            connection.close()
        return "launched"

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(try_to_launch, range(4)))
    assert outcomes == ["launched", *["tuned_model_name"] * 3]
    assert WorkItem.objects.filter(kind="tuning").count() == 1


def test_the_name_of_a_model_is_refused_whatever_its_capitals(order: Order) -> None:
    TunedModel.objects.create(
        owner=order.owner, name="Counter", base=order.base_model, folder_name="x"
    )
    with pytest.raises(LaunchError, match="already") as refusal:
        launch(order)
    assert refusal.value.field == "tuned_model_name"
    assert suggest_name(order.owner, "counter") == "counter 2"


def test_someone_elses_name_is_free(order: Order, bob: User) -> None:
    TunedModel.objects.create(owner=bob, name="counter", base=order.base_model, folder_name="x")
    assert launch(order).tuned_model_name == "counter"


def test_a_base_model_that_is_not_ready_is_refused(order: Order) -> None:
    WorkItem.objects.filter(pk=order.base_model.work_id).update(status=Status.RUNNING)
    order.base_model.refresh_from_db()
    with pytest.raises(LaunchError, match="not ready"):
        launch(order)


def test_too_few_examples_are_refused(order: Order, settings: object) -> None:
    settings.MINIMUM_EXAMPLES = 41  # type: ignore[attr-defined]
    with pytest.raises(LaunchError, match="at least 41"):
        launch(order)


def test_a_full_disk_is_refused(order: Order, settings: object) -> None:
    settings.FREE_DISK_MINIMUM_BYTES = 10**18  # type: ignore[attr-defined]
    with pytest.raises(LaunchError, match="disk"):
        launch(order)


def test_a_dataset_cannot_validate_itself(order: Order) -> None:
    with pytest.raises(LaunchError) as refusal:
        launch(replace(order, validation_version=order.version))
    assert refusal.value.field == "validation_dataset"


def test_a_cancelled_job_gives_its_name_back(make_job: JobMaker) -> None:
    make_job("again").work.request_cancel()
    assert make_job("again").work.status == Status.QUEUED
