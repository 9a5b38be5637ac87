"""Find a browser for the tests: the machine's own, Playwright's, or Debian's.

Run as a module before the tests, so that a machine without any browser gets one or is told how.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
ADVICE = (
    "The tests need a browser. Install Chromium or Chrome (on Debian: apt install chromium), "
    "or run: .venv/bin/playwright install --with-deps chromium"
)


class NoBrowserError(Exception):
    """No browser here, and none could be installed."""


def find() -> str | None:
    """The machine's browser, or Playwright's own; None when there is neither."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    cache = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", Path.home() / ".cache/ms-playwright"))
    return next((str(path) for path in sorted(cache.glob("chromium-*/chrome-linux*/chrome"))), None)


def install() -> None:
    """Try Playwright's own browser, then Debian's package when we may install one."""
    playwright = [sys.executable, "-m", "playwright", "install", "chromium"]
    if subprocess.run(playwright, check=False, capture_output=True).returncode == 0:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {"check": False, "stdout": subprocess.DEVNULL}
        subprocess.run(["apt-get", "update", "-qq"], **quiet)  # type: ignore[call-overload]
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium"], **quiet)  # type: ignore[call-overload]


def find_or_install() -> str:
    """The path of a browser; NoBrowserError says what to install."""
    path = find()
    if path is None:
        install()
        path = find()
    if path is None:
        raise NoBrowserError(ADVICE)
    return path


if __name__ == "__main__":
    try:
        find_or_install()
    except NoBrowserError as error:
        sys.exit(str(error))
