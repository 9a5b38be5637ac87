"""How much memory this machine can still give a process, and none that it would take from others.

Reads what the kernel says, containers included. Knows no models and no GPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUPS = Path("/proc/self/cgroup")
_CGROUP_ROOT = Path("/sys/fs/cgroup")
_NO_LIMIT = 1 << 60
"""What the older kind of control group says instead of having no limit."""


def available_memory_bytes() -> int:
    """What a new process can take before something is swapped out or killed."""
    return max(0, min(_machine_bytes(), *_group_bytes()))


def _machine_bytes() -> int:
    try:
        lines = _MEMINFO.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("MemAvail")) * 1024
    except (OSError, StopIteration):
        # Other systems do not say what is free; all there is bounds it from above.
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _group_bytes() -> Iterator[int]:
    """What is left in each control group this process is in, and in those around it."""
    yield _NO_LIMIT
    for folder in _groups():
        for limit_name, used_name in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            limit = _number(folder / limit_name)
            if limit is not None and limit < _NO_LIMIT:
                yield limit - (_number(folder / used_name) or 0) + _reclaimable(folder)


def _groups() -> Iterator[Path]:
    try:
        lines = _CGROUPS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "" or "memory" in controllers.split(","):
            root = _CGROUP_ROOT / "memory" if controllers else _CGROUP_ROOT
            group = root / path.lstrip("/")
            yield from (group, *(up for up in group.parents if up.is_relative_to(root)))


def _reclaimable(folder: Path) -> int:
    """Files kept in memory that the kernel drops when a process needs the room."""
    try:
        lines = (folder / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    numbers = dict(line.split(" ", 1) for line in lines)
    return int(numbers.get("inactive_file", 0))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # not there, or the word "max"
        return None
