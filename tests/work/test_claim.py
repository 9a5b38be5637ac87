"""A claim is a token and a lease; who lacks either writes nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from tests.work.conftest import KIND, TestWork
from work.claim import Claim, LeaseLostError, claim_next
from work.models import WorkItem
from work.status import Status


def expire(item: WorkItem) -> None:
    """Let the lease of an item have run out."""
    past = timezone.now() - timedelta(seconds=1)
    WorkItem.objects.filter(pk=item.pk).update(lease_until=past)


def make_item() -> WorkItem:
    return WorkItem.objects.create(kind=KIND, queue="cpu")


def claimed(item: WorkItem | None = None) -> Claim:
    item = item or make_item()
    claim = claim_next("cpu", "worker")
    assert claim is not None
    assert claim.item.pk == item.pk
    return claim


@pytest.mark.django_db
def test_the_oldest_item_is_taken_first(test_work: TestWork) -> None:
    first, second = make_item(), make_item()
    taken = [claim_next("cpu", "worker"), claim_next("cpu", "worker"), claim_next("cpu", "worker")]
    assert [claim and claim.item.pk for claim in taken] == [first.pk, second.pk, None]


@pytest.mark.django_db
def test_items_of_another_queue_are_left(test_work: TestWork) -> None:
    make_item()
    assert claim_next("gpu", "worker") is None


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_never_take_the_same_item(test_work: TestWork) -> None:
    items = {make_item().pk for _ in range(20)}

    def take_all(worker: str) -> list[UUID]:
        taken = []
        while claim := claim_next("cpu", worker):
            taken.append(claim.item.pk)
        connection.close()
        return taken

    with ThreadPoolExecutor(3) as pool:
        taken = [pk for list_of in pool.map(take_all, ["a", "b", "c"]) for pk in list_of]
    assert len(taken) == len(items)
    assert set(taken) == items


@pytest.mark.django_db
def test_a_write_sets_the_fields_and_renews_the_lease(test_work: TestWork) -> None:
    claim = claimed()
    before = claim.item.lease_until
    with claim.fenced(progress=0.5):
        pass
    claim.item.refresh_from_db()
    assert claim.item.progress == 0.5
    assert before is not None
    assert claim.item.lease_until is not None
    assert claim.item.lease_until >= before


@pytest.mark.django_db
def test_a_write_after_the_lease_ended_is_rolled_back(test_work: TestWork) -> None:
    claim = claimed()
    expire(claim.item)
    with pytest.raises(LeaseLostError), claim.fenced(progress=0.5):
        WorkItem.objects.filter(pk=claim.item.pk).update(error="written all the same")
    claim.item.refresh_from_db()
    assert (claim.item.progress, claim.item.error) == (0.0, "")


@pytest.mark.django_db
def test_a_write_under_an_old_token_is_rolled_back(test_work: TestWork) -> None:
    old = claimed()
    WorkItem.objects.filter(pk=old.item.pk).update(status=Status.QUEUED)
    new = claimed(old.item)
    with pytest.raises(LeaseLostError), old.fenced(progress=0.9):
        pass
    with new.fenced(progress=0.1):
        pass
    new.item.refresh_from_db()
    assert new.item.progress == 0.1


@pytest.mark.django_db
def test_a_worker_without_progress_is_stuck_after_five_minutes(test_work: TestWork) -> None:
    claim = claimed()
    assert not claim.is_stuck()
    claim.last_progress -= 301
    assert claim.is_stuck()
    claim.slowest_step_seconds = 60
    assert not claim.is_stuck()
