"""The whole studio as a person starts it, on a folder and a port of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil
from playwright.sync_api import Page

REPOSITORY = Path(__file__).resolve().parents[2]
USERNAME, PASSWORD = "alice", "correct horse battery"
T = TypeVar("T")


def rest(milliseconds: float) -> None:
    """Let others work before the next question."""
    time.sleep(milliseconds / 1000)


def eventually(
    ask: Callable[[], T], timeout_seconds: float = 60.0, pause: Callable[[float], None] = rest
) -> T:
    """Ask again until the answer is true; fails with the last answer.

    `pause` waits so many milliseconds: a browser's page has its own way, that serves its events.
    """
    deadline = time.monotonic() + timeout_seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"Not within {timeout_seconds} s; last: {answer!r}"
        pause(50)
    return answer


class Studio:
    """`manage.py run` with the given base model on the shelf."""

    def __init__(self, folder: Path, base_model: str = "tiny") -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            "DATA_DIR": str(folder),
            "STUDIO_PORT": str(self.port),
            "STUDIO_DEFAULT_BASE_MODEL": base_model,
            "STUDIO_LEASE_SECONDS": "6",
        }

    def start(self) -> None:
        """Start, and read the one line that a person gets."""
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "run"],
            cwd=REPOSITORY,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline().strip()

    def stop(self) -> float:
        """Ctrl-C. Gives the seconds until everything was gone."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        asked = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        psutil.wait_procs(children, timeout=10)
        self.left_over = [child for child in children if child.is_running()]
        return time.monotonic() - asked

    def processes(self, words: str) -> list[psutil.Process]:
        """The studio's processes whose command line contains `words`, oldest first."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        found = [child for child in children if words in command_line(child)]
        return sorted(found, key=lambda child: child.create_time())


def command_line(process: psutil.Process) -> str:
    """What the process was started with; nothing when it is gone by now."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def create_owner(page: Page, studio: Studio) -> None:
    """Follow the one line and make the first account."""
    page.goto(studio.line.removeprefix("Open "))
    page.get_by_label("Username").fill(USERNAME)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password (again)").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url(f"{studio.address}/")
