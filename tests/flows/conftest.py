"""A running studio, and a browser in front of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests import browser as browsers
from tests.flows.running import Studio, create_owner


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
    create_owner(page, studio)
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
        lambda message: (
            errors.append(f"{message.text} {message.location}") if message.type == "error" else None
        ),
    )
    yield opened
    opened.close()
    assert errors == []
