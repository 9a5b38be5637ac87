"""Measure the most memory that a stretch of work holds at once.

On a GPU what torch allocated, on a processor the resident memory of this process: the kernel's own
high-water mark where it may be reset, else samples taken beside the work. Predicts nothing.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from tuner.memory_in_use import memory_in_use_bytes

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
_SAMPLE_SECONDS = 0.005


@dataclass
class Peak:
    """Filled when the watched work is over."""

    bytes: int = 0


@contextmanager
def watch_peak(device: torch.device) -> Iterator[Peak]:
    """Watch what the body holds at most, together with what was held before it."""
    release_freed_memory()
    peak = Peak()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield peak
        peak.bytes = torch.cuda.max_memory_allocated(device)
    elif _reset_high_water():
        yield peak
        peak.bytes = _high_water_bytes()
    else:
        with _sampling(device, peak):
            yield peak


def release_freed_memory() -> None:
    """Free what nothing refers to, and give back to the system what is freed."""
    gc.collect()
    give_back_freed_memory()


def give_back_freed_memory() -> None:
    """Return to the system what is freed but kept for later, where the C library can."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    if sys.platform != "linux":
        return None
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim


def _reset_high_water() -> bool:
    try:
        _RESET.write_text("5")
    except OSError:
        return False
    return True


def _high_water_bytes() -> int:
    lines = _STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


@contextmanager
def _sampling(device: torch.device, peak: Peak) -> Iterator[None]:
    over = threading.Event()

    def sample() -> None:
        while not over.wait(_SAMPLE_SECONDS):
            peak.bytes = max(peak.bytes, memory_in_use_bytes(device))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        peak.bytes = max(peak.bytes, memory_in_use_bytes(device))
