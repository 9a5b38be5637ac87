"""How full the disk is."""

from __future__ import annotations

import shutil
from pathlib import Path


def free_bytes(folder: Path) -> int:
    """What can still be written below `folder`."""
    return shutil.disk_usage(folder).free
