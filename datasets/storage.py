"""Write the examples of a version so that they are whole or not there at all.

Written under a temporary name, flushed to the disk, hashed on the way, then renamed. The row comes
after the file. Knows paths and bytes; no examples.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

from django.conf import settings
from django.db import OperationalError

from datasets.errors import StorageError
from web.disk import free_bytes

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class ExampleFile:
    """A file of examples being written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size_bytes = 0
        self._hash = hashlib.sha256()
        self._file = path.open("xb")

    def write(self, line: bytes) -> None:
        """One canonical line."""
        self._file.write(line)
        self._hash.update(line)
        self.size_bytes += len(line)

    @property
    def sha256(self) -> str:
        """Of everything written so far."""
        return self._hash.hexdigest()

    def keep_as(self, target: Path) -> None:
        """Flush to the disk and give the file its name; from then on it is whole and there."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        target.parent.mkdir(parents=True, exist_ok=True)
        self.path.replace(target)
        _flush_folder(target.parent)

    def close(self) -> None:
        """Give up what was not kept."""
        try:
            self._file.close()  # writes what is buffered, and a full disk refuses that too
        finally:
            self.path.unlink(missing_ok=True)


@contextmanager
def new_example_file() -> Iterator[ExampleFile]:
    """A file under a temporary name; gone after the block unless it was kept."""
    with saying_when_full():
        file = ExampleFile(temporary_path())
        try:
            yield file
        finally:
            file.close()


@contextmanager
def saying_when_full() -> Iterator[None]:
    """Turn a full disk into a sentence."""
    try:
        yield
    except (OSError, OperationalError) as error:
        if not _is_full(error):
            raise
        raise StorageError(
            "The disk is full, so the dataset could not be saved. Nothing was kept of it. "
            "Free some space (old models and datasets are the largest) and upload it again."
        ) from error


def _is_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in DISK_FULL
    return "full" in str(error)  # SQLite has no code of its own for it in Django


def check_free_disk(needed_bytes: int) -> None:
    """Refuse early what would fill the disk."""
    free = free_bytes(Path(settings.DATA_DIR))
    if free < needed_bytes + settings.FREE_DISK_MINIMUM_BYTES:
        raise StorageError(
            f"The disk has {free // 1_000_000:,} MB left, too little to save this safely. Nothing "
            "was kept. Free some space (old models and datasets are the largest) and try again."
        )


def temporary_path() -> Path:
    """A name that nothing has yet, on the disk where the data lies."""
    folder = Path(settings.DATA_DIR) / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"dataset-{uuid4()}"


def examples_path(version_id: UUID) -> Path:
    """Where the examples of a version lie."""
    return Path(settings.DATA_DIR) / "datasets" / f"{version_id}.jsonl"


def _flush_folder(folder: Path) -> None:
    """Without this, a power cut could take the new name back."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
