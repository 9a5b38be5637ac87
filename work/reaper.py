"""Take work back from workers that died, and find queues whose workers should look again."""

from __future__ import annotations

import logging

from django.db.models.functions import Now

from work import kinds
from work.models import Worker, WorkItem
from work.status import Status

logger = logging.getLogger(__name__)

MAXIMUM_ATTEMPTS = 5
GIVEN_UP = (
    f"The worker died {MAXIMUM_ATTEMPTS} times while doing this, most often for want of memory. "
    "Try a smaller batch size or a smaller base model."
)


def reap() -> int:
    """Take back every item whose lease ran out. Returns how many."""
    reaped = 0
    for item in WorkItem.objects.abandoned():
        mine = WorkItem.objects.abandoned().filter(pk=item.pk, token=item.token)
        if mine.update(phase="", lease_until=None, **verdict(item)):
            reaped += 1
            logger.warning("Took back %s %s from %s", item.kind, item.pk, item.worker)
            item.refresh_from_db()
            kinds.get(item.kind).on_change(item)
    return reaped


def verdict(item: WorkItem) -> dict[str, object]:
    """What becomes of abandoned work: another try, unless a person or the attempts say no."""
    if item.stop_requested:
        return {"status": Status.CANCELLED, "finished_at": Now()}
    if item.attempts >= MAXIMUM_ATTEMPTS:
        return {"status": Status.FAILED, "finished_at": Now(), "error": GIVEN_UP}
    return {"status": Status.QUEUED, "worker": ""}


def queues_to_wake() -> list[str]:
    """Queues with something eligible and a worker free to take it."""
    queues = WorkItem.objects.filter(status=Status.QUEUED).values_list("queue", flat=True)
    return [queue for queue in queues.distinct() if Worker.objects.idle(queue).exists()]
