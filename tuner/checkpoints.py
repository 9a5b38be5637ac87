"""The checkpoints that one run saved, and which of them stay.

Knows steps and folders, not what is in them.
"""

from __future__ import annotations

import shutil
from pathlib import Path


class Checkpoints:
    """The newest few stay, and that of the best evaluation."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._saved: list[tuple[int, Path]] = []
        self.newest_step: int | None = None
        """Also that of the checkpoint this run went on from, whose folder is not its own."""

    def saved(self, step: int, folder: Path) -> None:
        self._saved.append((step, folder))
        self.newest_step = step

    def drop_old(self, best_step: int) -> None:
        """Remove what need not stay, of those this run saved itself."""
        for step, folder in self._saved[: -self._kept]:
            if step != best_step:
                self._saved.remove((step, folder))
                shutil.rmtree(folder, ignore_errors=True)
