"""One run writes how it ended, whatever happened in it."""

from __future__ import annotations

import os
import signal
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from tests.work.conftest import KIND, TestWork
from work import runner
from work.claim import Claim, WorkFailedError, claim_next
from work.models import WorkItem
from work.status import Status


@pytest.fixture
def item(db: None, test_work: TestWork) -> WorkItem:
    return WorkItem.objects.create(kind=KIND, queue="cpu")


def run(item: WorkItem) -> WorkItem:
    claim = claim_next("cpu", "worker")
    assert claim is not None
    runner.run(claim)
    item.refresh_from_db()
    return item


def test_work_that_returns_has_succeeded(item: WorkItem, test_work: TestWork) -> None:
    assert run(item).status == Status.SUCCEEDED
    assert item.finished_at is not None
    assert item.lease_until is None
    assert test_work.told == ["succeeded"]


def test_work_that_fails_keeps_its_sentence(item: WorkItem, test_work: TestWork) -> None:
    def fail(claim: Claim) -> None:
        raise WorkFailedError("The disk is full. Free some space.")

    test_work.body = fail
    assert run(item).status == Status.FAILED
    assert item.error == "The disk is full. Free some space."


def test_an_unexpected_error_is_told_without_a_traceback(
    item: WorkItem, test_work: TestWork
) -> None:
    def fail(claim: Claim) -> None:
        raise ZeroDivisionError

    test_work.body = fail
    assert run(item).status == Status.FAILED
    assert "ZeroDivisionError" in item.error
    assert "Traceback" not in item.error


def test_a_stop_that_a_person_asked_for_cancels(item: WorkItem, test_work: TestWork) -> None:
    def stop(claim: Claim) -> None:
        assert claim.item.request_cancel()
        claim.check_stop()

    test_work.body = stop
    assert run(item).status == Status.CANCELLED


def test_sigterm_gives_the_item_back_to_the_queue(item: WorkItem, test_work: TestWork) -> None:
    def be_told_to_go(claim: Claim) -> None:
        with runner.stopping_releases(claim):
            os.kill(os.getpid(), signal.SIGTERM)
            claim.check_release()

    test_work.body = be_told_to_go
    assert run(item).status == Status.QUEUED
    assert item.worker == ""
    again = claim_next("cpu", "another")
    assert again is not None
    assert (again.token, again.item.attempts) == (2, 1)


def test_a_lease_that_ran_out_under_a_healthy_worker_costs_no_attempt(
    item: WorkItem, test_work: TestWork
) -> None:
    """A laptop slept: the work goes back to the queue at once, if nobody took it."""

    def sleep_on(claim: Claim) -> None:
        past = timezone.now() - timedelta(seconds=1)
        WorkItem.objects.filter(pk=item.pk).update(lease_until=past)
        with claim.fenced(progress=0.5):
            pass

    test_work.body = sleep_on
    assert run(item).status == Status.QUEUED
    assert (item.attempts, item.progress) == (0, 0.0)


def test_a_database_that_was_away_leaves_the_work_to_the_reaper(
    item: WorkItem, test_work: TestWork
) -> None:
    def lose_the_database(claim: Claim) -> None:
        raise OperationalError("database is locked")

    test_work.body = lose_the_database
    assert run(item).status == Status.RUNNING
    assert item.error == ""


def test_work_that_lost_its_lease_writes_nothing(item: WorkItem, test_work: TestWork) -> None:
    def lose(claim: Claim) -> None:
        WorkItem.objects.filter(pk=claim.item.pk).update(token=7, worker="another")

    test_work.body = lose
    assert run(item).status == Status.RUNNING
    assert (item.token, item.worker) == (7, "another")


def test_an_item_run_by_hand_is_taken_back_from_a_dead_worker(
    item: WorkItem, test_work: TestWork
) -> None:
    past = timezone.now() - timedelta(seconds=1)
    WorkItem.objects.filter(pk=item.pk).update(
        status=Status.RUNNING, lease_until=past, worker="dead", token=1, attempts=1
    )
    item.refresh_from_db()
    assert runner.run_item(item).status == Status.SUCCEEDED
    assert item.token == 2
