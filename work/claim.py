"""Take an item, keep it, write under its token, give it back.

A claim is a token and a lease. Every write happens in `claim.fenced()`: one transaction that
first checks both on the database's clock, and rolls back when either is gone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import (
    DatabaseError,
    InterfaceError,
    close_old_connections,
    connection,
    transaction,
)
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from work import kinds
from work.models import WorkItem, lease_end, raise_token
from work.status import HELD, Status

logger = logging.getLogger(__name__)

BACK_IN_QUEUE: dict[str, Any] = {
    "status": Status.QUEUED,
    "phase": "",
    "worker": "",
    "lease_until": None,
    "attempts": F("attempts") - 1,
}
"""What makes a held item eligible again without counting against it."""


class WorkFailedError(Exception):
    """The work cannot be done; the text is for the page: what happened and what to do."""


class StopRequestedError(Exception):
    """A person asked to stop, and the work did."""


class ReleasedError(Exception):
    """The process must go; the item goes back to the queue, to be carried on by another."""


class LeaseLostError(Exception):
    """Somebody else has the item now, or may have; nothing may be written."""


def claim_next(queue: str, worker: str) -> Claim | None:
    """Take the oldest eligible item of the queue, or None. Two workers never take the same."""
    for item in WorkItem.objects.eligible(queue).order_by("created_at")[:10]:
        if claim := claim_item(item, worker):
            return claim
    return None


def claim_item(item: WorkItem, worker: str) -> Claim | None:
    """Take this item if it is still queued."""
    taken = WorkItem.objects.filter(pk=item.pk, status=Status.QUEUED).update(
        status=Status.RUNNING,
        worker=worker,
        started_at=Coalesce("started_at", Now()),
        **raise_token(),
    )
    if not taken:
        return None
    item.refresh_from_db()
    return Claim(item)


class Claim:
    """One worker's hold on one item. Made by `claim_next` alone."""

    def __init__(self, item: WorkItem) -> None:
        self.item = item
        self.token = item.token
        self.must_release = threading.Event()
        self.last_progress = time.monotonic()
        self.slowest_step_seconds = 0.0
        self.must_finish = False
        self._must_save = False
        self._ended = threading.Event()

    # --- writing ---------------------------------------------------------------------------
    @contextmanager
    def fenced(self, **fields: Any) -> Iterator[None]:
        """A transaction that holds only while this claim does; `fields` are set on the item.

        Raises LeaseLostError, with everything inside rolled back.
        """
        with transaction.atomic():
            fields.setdefault("lease_until", lease_end())
            held = WorkItem.objects.filter(
                pk=self.item.pk, token=self.token, status__in=HELD, lease_until__gt=Now()
            ).update(**fields)
            if not held:
                raise LeaseLostError(f"Work item {self.item.pk} is no longer held by this worker.")
            yield

    def set_phase(self, phase: str) -> None:
        """Say what is being done, in the words of the page."""
        with self.fenced(phase=phase):
            self.item.phase = phase
        self.made_progress()
        kinds.get(self.item.kind).on_change(self.item)

    def made_progress(self) -> None:
        """Tell the heartbeat that the work moves."""
        now = time.monotonic()
        self.slowest_step_seconds = max(self.slowest_step_seconds, now - self.last_progress)
        self.last_progress = now

    def check_stop(self) -> None:
        """Raise when a person asked to stop; note what else they asked for. One indexed read."""
        wishes = WorkItem.objects.filter(pk=self.item.pk).values_list(
            "stop_requested", "save_requested", "finish_requested"
        )
        stop, self._must_save, self.must_finish = wishes.first() or (False, False, False)
        if stop:
            raise StopRequestedError

    def take_save_request(self) -> bool:
        """Whether a person asked, by the last check, to save now; one request is granted once."""
        if not self._must_save:
            return False
        self._must_save = False
        with self.fenced(save_requested=False):
            return True

    def check_release(self) -> None:
        """Raise when this process must go; called where the work can be carried on from."""
        if self.must_release.is_set():
            raise ReleasedError

    # --- ending ----------------------------------------------------------------------------
    def end(self, status: Status, error: str = "") -> None:
        """Finish, in the status given. Nothing can be written under this claim afterwards."""
        finished = Now()
        with self.fenced(
            status=status, error=error, phase="", finished_at=finished, lease_until=None
        ):
            pass
        self._closed()

    def release(self) -> None:
        """Give the item back to the queue at once. A wanted end is no failed attempt."""
        with self.fenced(**BACK_IN_QUEUE):
            pass
        self._closed()

    def give_back_if_free(self) -> None:
        """After a lost lease: put the item back at once if nobody took it meanwhile.

        A laptop that slept, or a database that was away, lets a lease run out under a worker that
        is well; that is no failed attempt either.
        """
        mine = WorkItem.objects.filter(pk=self.item.pk, token=self.token, status__in=HELD)
        if not self.is_stuck() and mine.update(**BACK_IN_QUEUE):
            self._closed()

    def _closed(self) -> None:
        self._ended.set()
        self.item.refresh_from_db()
        kinds.get(self.item.kind).on_change(self.item)

    # --- keeping ---------------------------------------------------------------------------
    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Renew the lease from a thread while the block runs and the work moves."""
        thread = threading.Thread(target=self._beat, daemon=True, name="heartbeat")
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(timeout=settings.HEARTBEAT_SECONDS)

    def _beat(self) -> None:
        try:
            while not self._ended.wait(settings.HEARTBEAT_SECONDS):
                if self.is_stuck():
                    logger.error("Work item %s makes no progress; its lease ends.", self.item.pk)
                    return
                self._renew()
        finally:
            connection.close()

    def _renew(self) -> None:
        try:
            close_old_connections()
            WorkItem.objects.filter(
                pk=self.item.pk, token=self.token, lease_until__gt=Now()
            ).update(lease_until=lease_end())
        except (
            DatabaseError,
            InterfaceError,
        ) as error:  # tried again at the next beat; the lease bridges the gap
            logger.warning("The heartbeat of work item %s failed: %s", self.item.pk, error)

    def is_stuck(self) -> bool:
        """No step finished for ten times the slowest step so far, and at least five minutes."""
        silence = time.monotonic() - self.last_progress
        return silence > max(10 * self.slowest_step_seconds, 300.0)
