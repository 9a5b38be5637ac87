"""The doors through which Celery enters. Messages carry nothing; the database is the truth."""

from __future__ import annotations

import logging

from celery import shared_task
from kombu.exceptions import OperationalError

from work import reaper

logger = logging.getLogger(__name__)

WAKE_EXPIRES_SECONDS = 60


@shared_task(acks_late=False)
def wake(queue: str) -> None:
    """Run the next eligible item of the queue, if there is one."""
    from work import runner  # runner sends wake-ups through this module

    runner.run_next(queue)


@shared_task(acks_late=False)
def tick() -> None:
    """Every five seconds: take back what died, and wake workers that may have missed a call."""
    reaper.reap()
    for queue in reaper.queues_to_wake():
        send_wake(queue)


def send_wake(queue: str) -> None:
    """Tell the queue's workers to look. A broker that is away loses nothing: `tick` repeats it."""
    try:
        wake.apply_async((queue,), queue=queue, expires=WAKE_EXPIRES_SECONDS, retry=False)
    except OperationalError as error:
        logger.warning("The broker is away; work waits in the database: %s", error)
