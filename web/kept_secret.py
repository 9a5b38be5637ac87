"""Secrets that the studio generates on first use and keeps in files of mode 0600.

Needs no Django, so that the settings can use it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path


def kept_secret(path: Path) -> str:
    """The secret in `path`; generated with 32 random bytes on first use.

    Processes and threads that start at once agree: the file appears whole, by link, and only one
    of them wins.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, draft = tempfile.mkstemp(dir=path.parent)  # mode 0600
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
        with contextlib.suppress(FileExistsError):  # another was first; its secret counts
            os.link(draft, path)
        Path(draft).unlink()
    return path.read_text().strip()
