"""Run a download in a process of its own and look at it once a second.

So the page sees it move, a person can stop it, and it does not outlive the worker. Knows processes
and folders; what is fetched, and what its failure means, is for the caller.
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from web import disk

LOOKED_AT_EVERY_SECONDS = 1.0
REPOSITORY = Path(__file__).resolve().parents[1]
ERROR_NUMBER = re.compile(r"(?:\[Errno |os error )(\d+)")
FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

Progress = Callable[[float, str], None]


class FetchError(Exception):
    """The process failed; the text is the last line it wrote."""


def fetch_in_child(
    module: str,
    arguments: Sequence[str],
    folder: Path,
    progress: Progress,
    *,
    total_bytes: int | None = None,
) -> None:
    """Run a module that fills `folder`. Ends it when `progress` raises.

    Unless the total is given, the module may write it to its standard output.
    """
    with TemporaryFile() as output, TemporaryFile() as errors:
        process = start(module, arguments, folder, output, errors)
        try:
            while not has_ended(process):
                total = total_bytes or announced_bytes(output)
                progress(share_of(folder, total), "downloading")
        finally:
            end(process)
        if process.returncode:
            raise failure(read(errors))


def start(
    module: str, arguments: Sequence[str], folder: Path, output: IO[bytes], errors: IO[bytes]
) -> subprocess.Popen[bytes]:
    """The process, in a session of its own: Ctrl-C is for its parent, which then ends it."""
    return subprocess.Popen(
        [sys.executable, "-m", "library.tied", module, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=errors,
        start_new_session=True,
    )


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Wait a moment for the end."""
    try:
        process.wait(timeout=LOOKED_AT_EVERY_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def end(process: subprocess.Popen[bytes]) -> None:
    """Leave no process behind, whatever happened."""
    process.kill()
    process.wait()
    assert process.stdin is not None
    process.stdin.close()


def read(file: IO[bytes]) -> str:
    """All that the process has written so far; its own place in the file stays where it is."""
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0).decode(errors="replace")


def announced_bytes(output: IO[bytes]) -> int:
    """The total in the first line, or 0 as long as there is none."""
    first_line = read(output).partition("\n")[0].strip()
    return int(first_line) if first_line.isdigit() else 0


def share_of(folder: Path, total_bytes: int) -> float:
    """How much is here. Files come and go meanwhile, so a look that fails counts as nothing."""
    try:
        return min(1.0, disk.folder_bytes(folder) / total_bytes) if total_bytes else 0.0
    except FileNotFoundError:
        return 0.0


def failure(errors: str) -> Exception:
    """What to raise: an OSError of its own kind where the disk took no more."""
    last_line = (errors.strip().splitlines() or ["no reason given"])[-1]
    for number in FULL_DISK & {int(found) for found in ERROR_NUMBER.findall(errors)}:
        return OSError(number, os.strerror(number))
    return FetchError(last_line)
