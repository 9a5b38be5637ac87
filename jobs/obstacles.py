"""What keeps a queued job from starting, in words for the pages that wait for one."""

from __future__ import annotations

from django.conf import settings
from django.core.cache import cache

from web import disk, live
from work.models import Worker

BROKER_ASKED_EVERY_SECONDS = 5
BROKER_AWAY = (
    "The broker is away, so workers do not hear of new jobs. Jobs are safe; they start by "
    "themselves when it is back."
)
NO_WORKER = (
    "No tuning worker is running. Jobs are safe in the queue; they start by themselves when one "
    "is back."
)


DISK_NEARLY_FULL = "The disk is nearly full, and tuning needs at least 1 GB. Free some space first."


def obstacle() -> str:
    """The sentence, or nothing when a job would start."""
    if disk.free_bytes(settings.DATA_DIR) < settings.FREE_DISK_MINIMUM_BYTES:
        return DISK_NEARLY_FULL
    if not Worker.objects.alive("gpu").exists():
        return NO_WORKER
    is_there = cache.get_or_set("broker", live.broker_answers, BROKER_ASKED_EVERY_SECONDS)
    return "" if is_there else BROKER_AWAY
