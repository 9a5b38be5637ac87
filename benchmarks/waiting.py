"""What a person waits for: the whole studio with the default base model, in a real browser.

Starts a studio on a folder of its own, then measures, on both sample datasets, the seconds from a
button to the first point on the chart, the time that the form promises (the first time from timed
steps alone, the second time corrected by the job before), and the time that the job takes.

    .venv/bin/python -m benchmarks.waiting
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from playwright.sync_api import Locator, Page, sync_playwright

from tests import browser
from tests.flows.running import Studio, create_owner, eventually

BASE_MODEL = "smollm2-135m-instruct"
SAMPLES = ("Next number", "Support categories")
POINTS = "document.querySelector('[data-loss-chart]')?.data?.[0].x.length ?? 0"


def main() -> None:
    """A fresh studio, a browser, and all figures."""
    with tempfile.TemporaryDirectory(prefix="wait-", dir="/tmp") as folder:
        studio = Studio(Path(folder), BASE_MODEL)
        started = time.monotonic()
        studio.start()
        say(f"from nothing to the address: {time.monotonic() - started:.1f} s")
        try:
            with sync_playwright() as playwright:
                chromium = playwright.chromium.launch(
                    executable_path=browser.find_or_install(), args=browser.ARGUMENTS
                )
                page = chromium.new_page()
                create_owner(page, studio)
                measure(page, studio, started)
                chromium.close()
        finally:
            studio.stop()


def measure(page: Page, studio: Studio, started: float) -> None:
    """All figures, one line each."""
    buttons = page.get_by_role("button", name="Start with sample data")
    eventually(lambda: buttons.first.is_enabled(), 600, pause=page.wait_for_timeout)
    say(f"from nothing to a base model that is ready: {time.monotonic() - started:.1f} s")
    for number, sample in enumerate(SAMPLES):
        page.goto(studio.address)
        seconds = first_point(page, partial(press_nth, buttons, number))
        say(f"{sample}: from the sample button to the first point: {seconds:.1f} s")
        page.get_by_role("button", name="Cancel job").click()
        say(f"{sample}: {end_of_job(page)}")
    for sample in SAMPLES:
        promised = fill_form(page, studio, sample)
        start = page.get_by_role("button", name="Start tuning")
        seconds = first_point(page, start.click)
        say(f"{sample}: from Start tuning to the first point: {seconds:.1f} s")
        started = time.monotonic() - seconds
        say(f"{sample}: {end_of_job(page)}")
        took = time.monotonic() - started
        say(
            f"{sample}: promised {promised:.0f} s, took {took:.0f} s: "
            f"{promised / took:.2f} of the truth"
        )


def press_nth(buttons: Locator, number: int) -> None:
    """Press one of several buttons of the same name."""
    buttons.nth(number).click()


def fill_form(page: Page, studio: Studio, sample: str) -> float:
    """Choose the dataset; gives the seconds that the card promises."""
    page.goto(f"{studio.address}/jobs/new/")
    chosen = page.locator("#id_dataset option", has_text=sample).get_attribute("value")
    page.locator("#id_dataset").select_option(chosen)
    page.get_by_label("Tuned model name").fill(f"{sample} again")
    card = page.locator("[data-estimate-seconds]")
    eventually(lambda: card.is_visible(), 30, pause=page.wait_for_timeout)
    page.wait_for_timeout(1500)  # the card follows the last change of the form
    return float(card.get_attribute("data-estimate-seconds") or "nan")


def first_point(page: Page, press: Callable[[], None]) -> float:
    """Seconds from pressing to the first point."""
    pressed = time.monotonic()
    press()
    page.wait_for_url("**/jobs/*-*/")
    eventually(lambda: page.evaluate(POINTS), 120, pause=page.wait_for_timeout)
    return time.monotonic() - pressed


def end_of_job(page: Page) -> str:
    """How the job ended, once it has."""
    header = page.locator("#job-header")
    eventually(
        lambda: header.get_attribute("data-status") not in {"queued", "running"},
        1200,
        pause=page.wait_for_timeout,
    )
    return str(header.get_attribute("data-status"))


def say(line: str) -> None:
    """One figure."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
