"""Write a folder so that it is either complete or not there.

Everything goes into a hidden neighbour first, reaches the disk, and is renamed; a manifest with
the hash of every file, where one is asked for, is written last. Knows nothing of what is inside.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tuner.errors import CheckpointError, StorageError

MANIFEST = "manifest.json"


def write_folder(folder: Path, files: Mapping[str, bytes], *, manifest: bool = False) -> None:
    """Write `files` as `folder`, or raise StorageError and leave nothing behind."""
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, content in files.items():
            _write_durably(partial / name, content)
        if manifest:
            _write_durably(partial / MANIFEST, _manifest(files))
        _sync(partial)
        partial.rename(folder)
        _sync(folder.parent)
    except OSError as error:
        raise StorageError(
            f"{folder} could not be saved: {error.strerror}. "
            "Free some space or choose another folder; what was saved before is intact."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read_folder(folder: Path) -> dict[str, bytes]:
    """The files of a folder with a manifest; CheckpointError if one is missing or changed."""
    try:
        hashes = json.loads((folder / MANIFEST).read_bytes())["sha256"]
        files = {name: (folder / name).read_bytes() for name in hashes}
    except (OSError, ValueError, KeyError, TypeError):
        raise CheckpointError(
            f"{folder} is not a complete checkpoint. Resume from an earlier one."
        ) from None
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != hashes[name]:
            raise CheckpointError(f"{folder / name} is damaged. Resume from an earlier checkpoint.")
    return files


def check_free(folder: Path) -> None:
    """Refuse a target that holds something already: nothing is ever written over."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(f"{folder} exists already. Choose a new folder or remove this one.")


def _manifest(files: Mapping[str, bytes]) -> bytes:
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return json.dumps({"sha256": hashes}, indent=2).encode()


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
