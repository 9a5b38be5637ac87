"""Token ids of examples on disk, found again by content: what was encoded once never is again.

A folder holds files named after the tokenizer, template and choice of training they are for; each
has, for some examples, a digest, the ids, and which of them are trained. Files are mapped, not
read; they appear whole or not at all, and a damaged one is removed. Knows no tokenizer.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from array import array
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path
from typing import Any

from tuner.examples import Example

LARGEST_BYTES = 2 << 30
"""What all files together may take; the ones that were not used for longest go first."""

_MAGIC = b"tokens 1"
_HASH_BYTES = 32
_DIGEST_BYTES = 16
_SUFFIX = ".tokens"


@dataclass(frozen=True, slots=True)
class Row:
    """One example's tokens in few bytes: the ids as C integers, and a byte for each if trained."""

    ids: memoryview[int]
    trained: memoryview[bool]

    @classmethod
    def pack(cls, ids: Sequence[int], trained: Sequence[bool]) -> Row:
        return cls(memoryview(array("i", ids)), memoryview(bytes(trained)).cast("?"))

    def __len__(self) -> int:
        return len(self.ids)

    def unpack(self, end: int | None = None) -> tuple[list[int], list[bool]]:
        """The ids up to an end, and for each whether it is trained."""
        trained: list[Any] = self.trained[:end].tolist()
        return self.ids[:end].tolist(), trained


def digest(example: Example) -> bytes:
    """The same for conversations that read the same."""
    text = "".join(
        f"{len(turn.role)},{len(turn.content)}:{turn.role}{turn.content}"
        for turn in example.messages
    )
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()


class TokenCache:
    """The rows on disk for one tokenizer, template and choice of what is trained."""

    def __init__(self, folder: Path, key: str, largest_bytes: int = LARGEST_BYTES) -> None:
        self._folder = folder
        self._prefix = blake2b(f"{key} {sys.byteorder}".encode(), digest_size=16).hexdigest()
        self._largest_bytes = largest_bytes
        self._rows: dict[bytes, Row] = {}
        self._added: dict[bytes, Row] = {}
        for path in sorted(folder.glob(f"{self._prefix}-*{_SUFFIX}")):
            self._read(path)

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: bytes) -> Row | None:
        return self._rows.get(key)

    def add(self, key: bytes, row: Row) -> None:
        self._rows[key] = self._added[key] = row

    def save(self) -> None:
        """Write what was added since. A cache that cannot be written costs time, and no more."""
        if not self._added:
            return
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._write(self._added)
            self._added = {}
            _drop_oldest(self._folder, self._largest_bytes)

    def _write(self, rows: dict[bytes, Row]) -> None:
        content = b"".join(_content(rows))
        checksum = blake2b(content, digest_size=_HASH_BYTES).digest()
        name = f"{self._prefix}-{checksum.hex()[:16]}{_SUFFIX}"
        descriptor, partial = tempfile.mkstemp(dir=self._folder, suffix=".partial")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_MAGIC + checksum + content)
            Path(partial).replace(self._folder / name)
        finally:
            Path(partial).unlink(missing_ok=True)

    def _read(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._rows.update(_parsed(memoryview(mapped)))
            os.utime(path)  # used just now
        except (OSError, ValueError):
            with suppress(OSError):
                path.unlink()


def _content(rows: dict[bytes, Row]) -> Iterable[bytes]:
    yield len(rows).to_bytes(8, sys.byteorder)
    yield b"".join(rows)
    yield array("q", accumulate(map(len, rows.values()))).tobytes()
    yield from (row.ids.tobytes() for row in rows.values())
    yield from (row.trained.tobytes() for row in rows.values())


def _parsed(content: memoryview) -> Iterable[tuple[bytes, Row]]:
    """Digests and rows of a file; ValueError if it is not whole or not as it was written."""
    checked = content[len(_MAGIC) + _HASH_BYTES :]
    checksum = content[len(_MAGIC) : len(_MAGIC) + _HASH_BYTES]
    if content[: len(_MAGIC)] != _MAGIC:
        raise ValueError("not a file of tokens")
    if blake2b(checked, digest_size=_HASH_BYTES).digest() != checksum:
        raise ValueError("damaged")
    count = int.from_bytes(checked[:8], sys.byteorder)
    digests_end = 8 + count * _DIGEST_BYTES
    ends_end = digests_end + count * 8
    ends = checked[digests_end:ends_end].cast("q").tolist()
    ids_end = ends_end + 4 * (ends[-1] if ends else 0)
    ids, trained = checked[ends_end:ids_end].cast("i"), checked[ids_end:].cast("?")
    starts = [0, *ends[:-1]]
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
        at = 8 + index * _DIGEST_BYTES
        yield bytes(checked[at : at + _DIGEST_BYTES]), Row(ids[start:end], trained[start:end])


def _drop_oldest(folder: Path, largest_bytes: int) -> None:
    files = [(path.stat(), path) for path in folder.glob(f"*{_SUFFIX}")]
    total = sum(found.st_size for found, _ in files)
    for found, path in sorted(files, key=lambda item: item[0].st_mtime_ns):
        if total <= largest_bytes:
            break
        path.unlink(missing_ok=True)
        total -= found.st_size
