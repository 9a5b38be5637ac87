"""From a file to an answer, in a real browser on the whole running product."""

from __future__ import annotations

import csv
import os
import re
import signal
from pathlib import Path

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.flows.running import Studio, eventually

pytestmark = pytest.mark.journey

CUT_SECONDS = 60

STEPS_DRAWN = "document.querySelector('[data-loss-chart]').data?.[0].x ?? []"
X_RANGE = "document.querySelector('[data-loss-chart]')._fullLayout.xaxis.range"


def write_table(path: Path) -> Path:
    """A table whose columns have names of their own."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "Question", "Reply"])
        writer.writerows([n, f"what follows {n}?", n + 1] for n in range(60))
    return path


def upload(page: Page, studio: Studio, file: Path, name: str) -> None:
    page.goto(f"{studio.address}/datasets/")
    page.get_by_role("link", name="New dataset").first.click()
    page.get_by_label("Dataset file").set_input_files(file)
    page.get_by_label("Dataset name").fill(name)
    page.get_by_role("button", name="Upload dataset").click()


def wait_for_base_model(page: Page, studio: Studio) -> None:
    page.goto(f"{studio.address}/")
    button = page.get_by_role("button", name="Start with sample data").first
    expect(button).to_be_enabled(timeout=120_000)


def start_job(page: Page, studio: Studio, name: str, epochs: int) -> None:
    page.goto(f"{studio.address}/jobs/new/")
    page.get_by_label("Tuned model name").fill(name)
    page.get_by_label("Epochs").fill(str(epochs))
    page.get_by_role("button", name="Start tuning").click()
    page.wait_for_url("**/jobs/*-*/")


def steps_drawn(page: Page) -> list[int]:
    steps: list[int] = page.evaluate(STEPS_DRAWN)
    return steps


def wait_for_steps(page: Page, count: int) -> None:
    """Asked from here: a condition that waits inside the page needs eval, which it forbids."""
    eventually(lambda: len(steps_drawn(page)) >= count, 90, pause=page.wait_for_timeout)


def test_from_a_table_to_an_answer(page: Page, studio: Studio, tmp_path: Path) -> None:
    wait_for_base_model(page, studio)

    upload(page, studio, write_table(tmp_path / "numbers.csv"), "numbers")
    page.get_by_label("Prompt column").select_option("Question")
    page.get_by_label("Answer column").select_option("Reply")
    page.get_by_role("button", name="Save mapping").click()
    expect(page.locator("main")).to_contain_text("60")

    page.goto(f"{studio.address}/jobs/new/")
    page.get_by_label("Learning rate multiplier").fill("0.5")
    expect(page.locator("[data-learning-rate]")).to_have_text("0.0005")
    expect(page.locator("#estimate")).to_contain_text("Ready to start")

    start_job(page, studio, "counter", epochs=3)
    header = page.locator("#job-header")
    expect(header).to_have_attribute("data-status", "succeeded", timeout=90_000)
    expect(header).to_contain_text("Finished")
    assert steps_drawn(page) == list(range(1, 3 * 13 + 1))

    page.goto(f"{studio.address}/library/")
    expect(page.locator("main")).to_contain_text("counter")

    page.goto(f"{studio.address}/playground/")
    page.get_by_label("Model", exact=True).select_option(label="counter")
    page.get_by_label("Prompt", exact=True).fill("what follows 7?")
    page.get_by_role("button", name="Send").click()
    # A model this small may have nothing to say; that it was asked and ended is the fact.
    answer = page.locator("[data-answer]").first
    expect(answer).to_contain_text(re.compile(r"\d+ tokens?"), timeout=60_000)


def test_the_chart_is_live_and_loses_nothing(page: Page, studio: Studio, tmp_path: Path) -> None:
    wait_for_base_model(page, studio)
    start_job(page, studio, "long", epochs=400)
    address = page.url
    wait_for_steps(page, 10)

    box = page.locator("[data-loss-chart] .nsewdrag").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] - 40, steps=5)
    page.mouse.up()
    zoomed = page.evaluate(X_RANGE)
    wait_for_steps(page, len(steps_drawn(page)) + 20)
    assert page.evaluate(X_RANGE) == zoomed

    second = page.context.new_page()
    second.goto(address)
    page.reload()
    for window in (page, second):
        wait_for_steps(window, 40)
        steps = steps_drawn(window)
        assert steps == list(range(1, len(steps) + 1))
    second.close()

    page.get_by_role("button", name="Cancel job").click()
    expect(page.locator("#job-header")).to_have_attribute(
        "data-status", "cancelled", timeout=30_000
    )
    expect(page.locator("#job-header")).to_contain_text("No tuned model was made")


def test_a_page_without_its_socket_still_moves_and_catches_up(page: Page, studio: Studio) -> None:
    """Cut for a minute, it gets its points by asking; reconnected, it has no step twice."""
    wait_for_base_model(page, studio)
    is_cut = True
    reconnected: list[str] = []

    def route(socket: WebSocketRoute) -> None:
        if is_cut:
            socket.close(code=1012)
        else:
            reconnected.append(socket.url)
            socket.connect_to_server()

    page.route_web_socket("**/ws/jobs/**", route)
    start_job(page, studio, "cut off", epochs=1000)
    wait_for_steps(page, 20)
    page.wait_for_timeout(CUT_SECONDS * 1000)
    assert reconnected == []
    is_cut = False
    eventually(lambda: reconnected, 30, pause=page.wait_for_timeout)
    wait_for_steps(page, len(steps_drawn(page)) + 20)
    page.get_by_role("button", name="Cancel job").click()
    expect(page.locator("#job-header")).to_have_attribute(
        "data-status", "cancelled", timeout=30_000
    )
    steps = steps_drawn(page)
    assert steps == list(range(1, len(steps) + 1))


def test_a_killed_run_goes_on_and_the_open_page_shows_every_step_once(
    page: Page, studio: Studio
) -> None:
    wait_for_base_model(page, studio)
    start_job(page, studio, "killed", epochs=400)
    wait_for_steps(page, 30)
    child = studio.processes("--queues gpu")[-1]
    os.kill(child.pid, signal.SIGKILL)
    expect(page.locator("[data-log]")).to_contain_text(
        "Going on from the checkpoint", timeout=60_000
    )
    before = max(steps_drawn(page))
    wait_for_steps(page, before + 20)
    page.get_by_role("button", name="Cancel job").click()
    expect(page.locator("#job-header")).to_have_attribute(
        "data-status", "cancelled", timeout=30_000
    )
    steps = steps_drawn(page)
    assert steps == list(range(1, len(steps) + 1))
