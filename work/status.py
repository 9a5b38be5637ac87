"""The states of background work, in named sets."""

from __future__ import annotations

from django.db import models


class Status(models.TextChoices):
    """Where an item stands. The words are part of pages, API and database."""

    QUEUED = "queued", "Waiting"
    RUNNING = "running", "Running"
    PAUSING = "pausing", "Pausing"
    PAUSED = "paused", "Paused"
    SUCCEEDED = "succeeded", "Finished"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


HELD = frozenset({Status.RUNNING, Status.PAUSING})
"""A worker has it."""
ACTIVE = frozenset({Status.QUEUED, *HELD})
"""Something will still happen by itself."""
FINISHED = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})
"""Nothing will happen any more."""
