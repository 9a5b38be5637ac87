"""The whole studio as a person starts it, and a browser in front of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests import browser as browsers

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
    """`manage.py run` on a data folder and a port of its own, with the small model on the shelf."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            "DATA_DIR": str(folder),
            "STUDIO_PORT": str(self.port),
            "STUDIO_DEFAULT_BASE_MODEL": "tiny",
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


@pytest.fixture(scope="session")
def studio() -> Iterator[Studio]:
    """A running studio."""
    with tempfile.TemporaryDirectory(prefix="flow-", dir="/tmp") as folder:
        running = Studio(Path(folder))
        running.start()
        yield running
        running.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless browser."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=browsers.find_or_install(), args=browsers.ARGUMENTS
        )
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def signed_in(studio: Studio, browser: Browser) -> BrowserContext:
    """A browser profile in which the owner has set the studio up."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(studio.line.removeprefix("Open "))
    page.get_by_label("Username").fill(USERNAME)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password (again)").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url(f"{studio.address}/")
    page.close()
    return context


@pytest.fixture
def page(studio: Studio, signed_in: BrowserContext) -> Iterator[Page]:
    """A page of the owner's. Fails the test when the console shows an error."""
    errors: list[str] = []
    opened = signed_in.new_page()
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on(
        "console",
        lambda message: errors.append(f"{message.text} {message.location}")
        if message.type == "error"
        else None,
    )
    yield opened
    opened.close()
    assert errors == []
