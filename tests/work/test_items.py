"""Cancel, requeue, reap: each changes an item once, and only from the right state."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.work.conftest import KIND, TestWork
from work import reaper
from work.models import Worker, WorkItem
from work.status import Status

pytestmark = pytest.mark.django_db


def make_item(status: Status = Status.QUEUED, **fields: object) -> WorkItem:
    return WorkItem.objects.create(kind=KIND, queue="cpu", status=status, **fields)


def abandoned(**fields: object) -> WorkItem:
    past = timezone.now() - timedelta(seconds=1)
    return make_item(Status.RUNNING, lease_until=past, worker="dead", token=1, **fields)


def test_a_queued_item_is_cancelled_at_once(test_work: TestWork) -> None:
    item = make_item()
    assert item.request_cancel()
    assert item.status == Status.CANCELLED


def test_a_running_item_is_only_asked_to_stop(test_work: TestWork) -> None:
    item = make_item(Status.RUNNING)
    assert item.request_cancel()
    assert (item.status, item.stop_requested) == (Status.RUNNING, True)


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
def test_a_finished_item_cannot_be_cancelled(test_work: TestWork, status: Status) -> None:
    item = make_item(status)
    assert not item.request_cancel()
    assert item.status == status


def test_a_failed_item_can_be_tried_again(test_work: TestWork) -> None:
    item = make_item(Status.FAILED, error="No space.", attempts=5, stop_requested=True)
    assert item.requeue()
    assert (item.status, item.error, item.attempts) == (Status.QUEUED, "", 0)
    assert not item.stop_requested
    assert not item.requeue()


def test_the_work_of_a_dead_worker_is_taken_back(test_work: TestWork) -> None:
    item = abandoned(attempts=1)
    healthy = make_item(Status.RUNNING, lease_until=timezone.now() + timedelta(seconds=30))
    assert reaper.reap() == 1
    item.refresh_from_db()
    healthy.refresh_from_db()
    assert (item.status, item.worker) == (Status.QUEUED, "")
    assert healthy.status == Status.RUNNING
    assert test_work.told == ["queued"]


def test_work_that_killed_its_worker_again_and_again_is_given_up(test_work: TestWork) -> None:
    item = abandoned(attempts=reaper.MAXIMUM_ATTEMPTS)
    reaper.reap()
    item.refresh_from_db()
    assert item.status == Status.FAILED
    assert item.finished_at is not None
    assert "smaller batch size" in item.error


def test_abandoned_work_that_a_person_stopped_is_cancelled(test_work: TestWork) -> None:
    item = abandoned(stop_requested=True)
    reaper.reap()
    item.refresh_from_db()
    assert item.status == Status.CANCELLED


def test_a_queue_is_woken_only_for_work_and_an_idle_worker(test_work: TestWork) -> None:
    make_item()
    assert reaper.queues_to_wake() == []
    Worker.beat("worker", "cpu")
    assert reaper.queues_to_wake() == ["cpu"]
    make_item(Status.RUNNING, worker="worker")
    assert reaper.queues_to_wake() == []


def test_a_silent_worker_is_not_alive(test_work: TestWork) -> None:
    Worker.beat("loud", "cpu")
    silent = timezone.now() - timedelta(minutes=1)
    Worker.objects.create(name="silent", queue="cpu", seen_at=silent)
    assert [worker.name for worker in Worker.objects.alive("cpu")] == ["loud"]


def test_the_position_counts_older_waiting_items(test_work: TestWork) -> None:
    first, second = make_item(), make_item()
    make_item(Status.RUNNING)
    assert (first.position(), second.position()) == (1, 2)
