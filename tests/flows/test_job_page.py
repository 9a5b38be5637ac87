"""A job's page, open from the first step to the model: everything arrives without a reload."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.flows.running import Studio, eventually
from tests.flows.test_journey import start_job, wait_for_base_model, wait_for_steps

pytestmark = pytest.mark.journey

ACCURACY_DRAWN = "document.querySelector('[data-metric-chart]').data?.[0].x.length ?? 0"


def test_answers_metrics_and_wishes_reach_the_open_page(page: Page, studio: Studio) -> None:
    wait_for_base_model(page, studio)
    page.goto(f"{studio.address}/datasets/")
    if page.get_by_role("button", name="Use sample data").count():
        page.get_by_role("button", name="Use sample data").first.click()
        page.wait_for_url("**/datasets/*-*/")
    start_job(page, studio, "watched", epochs=300)
    wait_for_steps(page, 5)

    page.get_by_role("tab", name="Token accuracy").click()
    eventually(lambda: page.evaluate(ACCURACY_DRAWN) >= 5, 30, pause=page.wait_for_timeout)
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Learning rate")).to_be_focused()
    expect(page.locator("#chart-metric")).to_contain_text("by its schedule")

    samples = page.locator("#job-samples")
    expect(samples.locator(".probe")).to_have_count(3, timeout=60_000)
    first_seen = samples.get_attribute("data-step")
    eventually(
        lambda: samples.get_attribute("data-step") != first_seen, 60, pause=page.wait_for_timeout
    )

    page.get_by_role("button", name="Save a checkpoint now").click()
    expect(page.locator("[data-log]")).to_contain_text("Saved a checkpoint")
    expect(page.locator(".checkpoints")).to_contain_text("step")

    page.get_by_role("button", name="Stop and save").click()
    header = page.locator("#job-header")
    expect(header).to_have_attribute("data-status", "succeeded", timeout=60_000)
    expect(header).to_contain_text("stopped by hand")
    expect(page.locator(".worst-row").first).to_be_visible()
    page.locator(".worst-row a").first.click()
    expect(page.locator("#rows")).to_be_visible()
