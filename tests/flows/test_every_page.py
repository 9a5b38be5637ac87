"""Every page, wide and light, narrow and dark: readable for all, nothing wider than the screen."""

from __future__ import annotations

from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from tests.flows.running import Studio

LONG_NAME = "A name of sixty characters, as long as anybody may choose it"
FINISHED = "[data-status=succeeded]"
FIXED = [
    "/",
    "/datasets/",
    "/datasets/new/",
    "/jobs/",
    "/jobs/new/",
    "/library/",
    "/library/base-models/",
    "/playground/",
    "/settings/",
    "/account/password/",
    "/account/sign-out/",
]


@pytest.fixture(scope="module")
def addresses(studio: Studio, signed_in: BrowserContext) -> list[str]:
    """The pages, those of a dataset, a finished job and its model among them."""
    page = signed_in.new_page()
    page.goto(studio.address)
    ready = page.get_by_role("button", name="Start with sample data").first
    expect(ready).to_be_enabled(timeout=120_000)  # the base model is prepared after the start
    page.goto(f"{studio.address}/datasets/")
    page.get_by_role("button", name="Use sample data").first.click()
    page.wait_for_url("**/datasets/*-*/")
    dataset = page.url
    page.get_by_role("link", name="Tune a model on this").click()
    page.get_by_label("Tuned model name").fill(LONG_NAME)
    page.get_by_label("Epochs").fill("1")
    page.get_by_role("button", name="Start tuning").click()
    page.wait_for_url("**/jobs/*-*/")
    job = page.url
    page.wait_for_selector(FINISHED, timeout=120_000)
    page.goto(f"{studio.address}/library/")
    page.get_by_role("link", name=LONG_NAME, exact=True).click()
    model = page.url
    page.close()
    found = [dataset, f"{dataset}delete/", job, model, f"{model}delete/"]
    return [*found, *(f"{studio.address}{path}" for path in FIXED)]


def problems(page: Page) -> list[str]:
    """What axe finds, and whether the page is wider than its window."""
    found = [
        f"{violation['id']}: {violation['nodes'][0]['html'][:120]}"
        for violation in Axe().run(page).response["violations"]
    ]
    root = "document.documentElement"
    if page.evaluate(f"{root}.scrollWidth > {root}.clientWidth"):
        found.append("wider than the window")
    return found


@pytest.mark.journey
@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_every_page_is_readable_and_fits(
    page: Page, addresses: list[str], width: int, theme: Literal["light", "dark"]
) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    found = {}
    for address in addresses:
        page.goto(address)
        page.wait_for_load_state("networkidle")
        if wrong := problems(page):
            found[address] = wrong
    assert found == {}


@pytest.mark.journey
@pytest.mark.parametrize("width", [1280, 390])
def test_the_pages_before_sign_in_are_too(
    studio: Studio, signed_in: BrowserContext, width: int
) -> None:
    assert signed_in.browser
    stranger = signed_in.browser.new_page(viewport={"width": width, "height": 844})
    try:
        stranger.goto(studio.address)
        assert problems(stranger) == []
        stranger.get_by_role("button", name="Sign in").click()
        stranger.wait_for_selector(".error-summary:focus")
        assert problems(stranger) == []
        stranger.goto(f"{studio.address}/nothing/")
        assert problems(stranger) == []
    finally:
        stranger.close()
