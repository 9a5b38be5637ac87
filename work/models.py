"""One row for each piece of background work, and one for each worker.

Knows claims, leases and progress; knows no product nouns. A kind of work registers itself in
`work/kinds.py`, and keeps what it is about in its own table.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from work.status import ACTIVE, FINISHED, HELD, Status

if TYPE_CHECKING:
    from accounts.models import User


class WorkQuerySet(models.QuerySet["WorkItem"]):
    """Verbs that read as English."""

    def active(self) -> WorkQuerySet:
        """Queued or held by a worker."""
        return self.filter(status__in=ACTIVE)

    def eligible(self, queue: str) -> WorkQuerySet:
        """What a free worker of this queue may take."""
        return self.filter(queue=queue, status=Status.QUEUED)

    def abandoned(self) -> WorkQuerySet:
        """Held by a worker that stopped renewing its lease."""
        return self.filter(status__in=HELD, lease_until__lt=Now())


class WorkItem(models.Model):
    """The truth about one piece of background work; messages only wake workers up.

    `token` counts the claims. Whoever writes must hold the current token and a living lease
    (see `work/claim.py`), so a worker that was thought dead cannot write any more.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="work_items"
    )
    kind = models.CharField(max_length=40)
    queue = models.CharField(max_length=10)
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    phase = models.CharField(max_length=40, blank=True)
    progress = models.FloatField(default=0.0)
    error = models.TextField(blank=True)
    stop_requested = models.BooleanField(default=False)
    save_requested = models.BooleanField(default=False)
    """A person wants the state saved at the next chance; the work goes on."""
    finish_requested = models.BooleanField(default=False)
    """A person wants the work to end at the next chance, with what it has so far as its result."""
    token = models.PositiveIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    worker = models.CharField(max_length=120, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = WorkQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["queue", "status", "created_at"])]

    def __str__(self) -> str:
        return f"{self.kind}: {self.status}"

    @classmethod
    def enqueue(cls, kind: str, owner: User | None) -> WorkItem:
        """Create an item and wake a worker up once the transaction is committed."""
        from work import kinds, tasks  # tasks read this module

        item = cls.objects.create(kind=kind, queue=kinds.get(kind).queue, owner=owner)
        transaction.on_commit(lambda: tasks.send_wake(item.queue))
        return item

    @property
    def is_active(self) -> bool:
        """Whether something will still happen by itself."""
        return self.status in ACTIVE

    @property
    def is_finished(self) -> bool:
        """Whether nothing will happen any more."""
        return self.status in FINISHED

    @property
    def elapsed_seconds(self) -> float | None:
        """Since the first start, until now or the end."""
        if self.started_at is None:
            return None
        return ((self.finished_at or timezone.now()) - self.started_at).total_seconds()

    def request_cancel(self) -> bool:
        """Cancel a queued item at once; ask the worker of a running one to stop.

        False when it was finished already.
        """
        mine = WorkItem.objects.filter(pk=self.pk)
        if mine.filter(status__in={Status.QUEUED, Status.PAUSED}).update(
            status=Status.CANCELLED, finished_at=Now()
        ):
            changed = True
        else:
            changed = bool(mine.filter(status__in=HELD).update(stop_requested=True))
        self.refresh_from_db()
        return changed

    def request_save(self) -> bool:
        """Ask the worker to save where it is. False when nobody works on the item."""
        return self._ask(save_requested=True)

    def request_finish(self) -> bool:
        """Ask the worker to make do with what it has. False when nobody works on the item."""
        return self._ask(finish_requested=True)

    def _ask(self, **wish: bool) -> bool:
        held = WorkItem.objects.filter(pk=self.pk, status__in=HELD)
        is_held = bool(held.update(**wish))
        self.refresh_from_db()
        return is_held

    def requeue(self) -> bool:
        """Put a failed or cancelled item back in the queue. False when it is neither."""
        from work import tasks  # tasks read this module

        requeued = WorkItem.objects.filter(
            pk=self.pk, status__in={Status.FAILED, Status.CANCELLED}
        ).update(
            status=Status.QUEUED,
            error="",
            phase="",
            stop_requested=False,
            save_requested=False,
            finish_requested=False,
            attempts=0,
            started_at=None,
            finished_at=None,
        )
        self.refresh_from_db()
        if requeued:
            transaction.on_commit(lambda: tasks.send_wake(self.queue))
        return bool(requeued)

    def position(self) -> int:
        """How many eligible items of the queue are older, plus one."""
        older = WorkItem.objects.eligible(self.queue).filter(created_at__lt=self.created_at)
        return older.count() + 1


class WorkerQuerySet(models.QuerySet["Worker"]):
    """Verbs that read as English."""

    def alive(self, queue: str) -> WorkerQuerySet:
        """Workers of this queue that were heard of within half a minute."""
        return self.filter(queue=queue, seen_at__gt=timezone.now() - Worker.SILENCE)

    def idle(self, queue: str) -> WorkerQuerySet:
        """Alive, and holding nothing."""
        held = WorkItem.objects.filter(status__in=HELD).values("worker")
        return self.alive(queue).filter(~Q(name__in=held))


class Worker(models.Model):
    """A worker process that told of itself. Pages say so when none is alive."""

    SILENCE = timedelta(seconds=30)

    name = models.CharField(max_length=120, primary_key=True)
    queue = models.CharField(max_length=10)
    seen_at = models.DateTimeField()

    objects = WorkerQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name

    @classmethod
    def beat(cls, name: str, queue: str) -> None:
        """Say that this worker lives."""
        cls.objects.update_or_create(
            name=name, defaults={"queue": queue, "seen_at": timezone.now()}
        )


def raise_token() -> dict[str, object]:
    """The fields of a fresh claim, as the database sets them."""
    return {"token": F("token") + 1, "attempts": F("attempts") + 1, "lease_until": lease_end()}


def lease_end() -> models.Expression:
    """When a lease taken or renewed now runs out, on the database's clock."""
    return models.ExpressionWrapper(
        Now() + timedelta(seconds=settings.LEASE_SECONDS), output_field=models.DateTimeField()
    )
