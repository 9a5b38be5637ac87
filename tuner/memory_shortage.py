"""No memory, in one sentence that says what to change.

Python, torch on a processor and torch on a GPU say it each in their own way. Knows the settings
that save memory, not how much any of them saves.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tuner.errors import MemoryShortageError
from tuner.settings import TuningSettings

_ALLOCATION_FAILED = ("can't allocate memory", "not enough memory", "out of memory")
_SMALL_MICRO_BATCH_TOKENS = 512


@contextmanager
def memory_shortage_in_words(settings: TuningSettings) -> Iterator[None]:
    """Turn a failed allocation inside the block into a MemoryShortageError."""
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if not is_memory_shortage(error):
            raise
        raise MemoryShortageError(
            "There is not enough memory for this job. What was saved before is intact. "
            f"Start it again with {remedies(settings)}."
        ) from error


def is_memory_shortage(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error).lower() for words in _ALLOCATION_FAILED)


def remedies(settings: TuningSettings) -> str:
    """What is left to change, the cheapest first."""
    changes = []
    micro_batch = settings.micro_batch_tokens
    if micro_batch is None or micro_batch > _SMALL_MICRO_BATCH_TOKENS:
        changes.append(f"micro-batch tokens at {_SMALL_MICRO_BATCH_TOKENS} or fewer")
    if settings.activation_checkpointing != "on":
        changes.append("activation checkpointing on")
    if settings.batch_size > 1:
        changes.append("a smaller batch size")
    changes.append("a smaller base model")
    return ", ".join(changes[:-1]) + (" or " if changes[:-1] else "") + changes[-1]
