"""Run one claimed item to its end: the only place where background work's errors are caught."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from django.db import OperationalError

from work import kinds, reaper, tasks
from work.claim import (
    Claim,
    LeaseLostError,
    ReleasedError,
    StopRequestedError,
    WorkFailedError,
    claim_item,
    claim_next,
)
from work.models import WorkItem
from work.status import Status

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
UNEXPECTED = (
    "The work stopped for a reason the studio did not expect ({name}). Nothing that was saved "
    "before is lost. Try again; if it fails again, the worker's log says more."
)


def worker_name(queue: str) -> str:
    """This worker's name: machine, queue, and the process that supervises the children."""
    return f"{socket.gethostname()}:{queue}:{os.getppid()}"


def run_next(queue: str) -> bool:
    """Claim and run the next item of the queue. False when there was none."""
    name = worker_name(queue)
    claim = claim_next(queue, name)
    if claim is None:
        return False
    logger.info("Starting %s %s, attempt %s", claim.item.kind, claim.item.pk, claim.token)
    with stopping_releases(claim), claim.heartbeat():
        run(claim)
    tasks.send_wake(queue)  # a slot is free
    return True


def run_item(item: WorkItem) -> WorkItem:
    """Run this item here and now, for a command line; wait if a worker was quicker to take it.

    Works without a running studio, so it also takes back what a dead worker held.
    """
    name = f"{socket.gethostname()}:shell:{os.getpid()}"
    while item.is_active:
        if claim := claim_item(item, name):
            with claim.heartbeat():
                run(claim)
        else:
            reaper.reap()
            time.sleep(POLL_SECONDS)
        item.refresh_from_db()
    return item


def run(claim: Claim) -> None:
    """Do the work and write how it ended, unless somebody else has the item by now."""
    try:
        status, error = outcome(claim)
        if status == Status.QUEUED:
            claim.release()
        else:
            claim.end(status, error)
    except LeaseLostError as lost:
        logger.warning("%s", lost)
        claim.give_back_if_free()
    except OperationalError:
        # The database was away or busy for too long: the lease runs out, and the reaper has the
        # item go on from where it was saved.
        logger.exception("Work item %s could not be written", claim.item.pk)


def outcome(claim: Claim) -> tuple[Status, str]:
    """Do the work. Returns the state to leave it in, and the sentence for the page if it failed."""
    try:
        kinds.get(claim.item.kind).run(claim)
    except (LeaseLostError, OperationalError):
        raise
    except ReleasedError:
        return Status.QUEUED, ""
    except StopRequestedError:
        return Status.CANCELLED, ""
    except WorkFailedError as error:
        return Status.FAILED, str(error)
    except Exception as error:
        logger.exception("Work item %s failed", claim.item.pk)
        return Status.FAILED, UNEXPECTED.format(name=type(error).__name__)
    return Status.SUCCEEDED, ""


@contextmanager
def stopping_releases(claim: Claim) -> Iterator[None]:
    """While the block runs, SIGTERM (also the parent's death) asks the work to save and go."""

    def release(signal_number: int, frame: FrameType | None) -> None:
        claim.must_release.set()

    die_with_parent()
    previous = signal.signal(signal.SIGTERM, release)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def die_with_parent() -> None:
    """Have Linux send SIGTERM when the parent dies: an orphan would hold the device unseen."""
    pr_set_pdeathsig = 1
    if hasattr(ctypes.CDLL(None), "prctl"):
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
