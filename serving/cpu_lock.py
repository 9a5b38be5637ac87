"""Whether a tuning job computes on this machine's processor right now.

A job holds an exclusive flock on a file while it runs; the kernel lets go of it however the job
ends. Asking takes a shared one for a moment, which waits for nobody and keeps nobody waiting long.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def is_tuning(lock_file: Path) -> bool:
    """True while another process holds the lock."""
    try:
        descriptor = os.open(lock_file, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def polite_thread_count(lock_file: Path) -> int:
    """All cores, or one while a job needs them."""
    return 1 if is_tuning(lock_file) else available_cores()


def available_cores() -> int:
    """The cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
