"""Write a folder so that it is either complete or not there.

Everything goes into a hidden neighbour first, reaches the disk, and is renamed; a manifest with
the hash of every file, where one is asked for, is written last. Knows nothing of what is inside.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from safetensors import SafetensorError

from tuner.errors import CheckpointError, StorageError

MANIFEST = "manifest.json"

Content = bytes | Callable[[Path], None]
"""What a file will hold; or, where that is large, a function that writes it to a path."""


def write_folder(folder: Path, files: Mapping[str, Content], *, manifest: bool = False) -> None:
    """Write `files` as `folder`, or raise StorageError and leave nothing behind."""
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, content in files.items():
            _write_durably(partial / name, content)
        if manifest:
            _write_durably(partial / MANIFEST, _manifest(partial, files))
        _sync(partial)
        partial.rename(folder)
        _sync(folder.parent)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StorageError(
            f"{folder} could not be saved: {reason}. "
            "Free some space or choose another folder; what was saved before is intact."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_folder(folder: Path) -> None:
    """CheckpointError if a file of a folder with a manifest is missing or changed."""
    try:
        hashes = dict(json.loads((folder / MANIFEST).read_bytes())["sha256"])
        found = {name: hash_file(folder / name) for name in hashes}
    except (OSError, ValueError, KeyError, TypeError):
        raise CheckpointError(
            f"{folder} is not a complete checkpoint. Resume from an earlier one."
        ) from None
    for name, digest in found.items():
        if digest != hashes[name]:
            raise CheckpointError(f"{folder / name} is damaged. Resume from an earlier checkpoint.")


def check_free(folder: Path) -> None:
    """Refuse a target that holds something already: nothing is ever written over."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(f"{folder} exists already. Choose a new folder or remove this one.")


def _manifest(folder: Path, names: Iterable[str]) -> bytes:
    hashes = {name: hash_file(folder / name) for name in names}
    return json.dumps({"sha256": hashes}, indent=2).encode()


def hash_file(path: Path) -> str:
    """SHA-256 of what is in a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_durably(path: Path, content: Content) -> None:
    if callable(content):
        content(path)
    else:
        path.write_bytes(content)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
