"""How full the disk is, and with what."""

from __future__ import annotations

import shutil
from pathlib import Path


def free_bytes(folder: Path) -> int:
    """What can still be written below `folder`."""
    return shutil.disk_usage(folder).free


def folder_bytes(folder: Path) -> int:
    """The size of all files below `folder`; 0 when it is not there."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
