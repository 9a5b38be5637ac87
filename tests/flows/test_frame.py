"""The frame in a real browser: the palette, the keys, the theme and the account menu."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.flows.running import USERNAME, Studio

pytestmark = pytest.mark.journey


@pytest.fixture
def settings_page(page: Page, studio: Studio) -> Page:
    """A page with no field that takes the keys."""
    page.goto(f"{studio.address}/settings/")
    return page


def test_the_palette_goes_anywhere_by_keyboard(settings_page: Page, studio: Studio) -> None:
    settings_page.keyboard.press("Control+k")
    field = settings_page.get_by_role("combobox")
    expect(field).to_be_focused()
    settings_page.keyboard.type("play")
    options = settings_page.get_by_role("option")
    expect(options).to_have_count(1)
    settings_page.keyboard.press("Enter")
    settings_page.wait_for_url(f"{studio.address}/playground/")


def test_the_palette_moves_with_arrows_and_says_when_nothing_fits(settings_page: Page) -> None:
    settings_page.keyboard.press("Control+k")
    first, second = (settings_page.get_by_role("option").nth(number) for number in (0, 1))
    expect(first).to_have_attribute("aria-selected", "true")
    settings_page.keyboard.press("ArrowDown")
    expect(second).to_have_attribute("aria-selected", "true")
    field = settings_page.get_by_role("combobox")
    expect(field).to_have_attribute("aria-activedescendant", second.get_attribute("id") or "")
    settings_page.keyboard.type("zebra")
    expect(settings_page.get_by_text("Nothing by that name.")).to_be_visible()
    settings_page.keyboard.press("Escape")
    expect(settings_page.get_by_role("dialog")).to_have_count(0)


def test_letters_lead_to_pages_unless_they_are_switched_off(
    settings_page: Page, studio: Studio
) -> None:
    settings_page.keyboard.press("g")
    settings_page.keyboard.press("l")
    settings_page.wait_for_url(f"{studio.address}/library/")
    settings_page.keyboard.press("?")
    settings_page.get_by_label("Use single-letter keys").uncheck()
    settings_page.keyboard.press("Escape")
    settings_page.keyboard.press("?")
    expect(settings_page.get_by_role("dialog")).to_have_count(0)
    settings_page.get_by_text(USERNAME, exact=True).click()
    settings_page.get_by_role("button", name="Keyboard shortcuts").click()
    settings_page.get_by_label("Use single-letter keys").check()


def test_the_theme_changes_at_once_and_stays(settings_page: Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    switch = settings_page.get_by_role("main").get_by_role("button", name="Dark")
    switch.click()
    dark = settings_page.evaluate(background)
    expect(switch).to_have_attribute("aria-pressed", "true")
    settings_page.reload()
    assert settings_page.evaluate(background) == dark
    settings_page.get_by_role("main").get_by_role("button", name="Light").click()
    assert settings_page.evaluate(background) != dark
    settings_page.get_by_role("main").get_by_role("button", name="System").click()


def test_the_account_menu_closes_by_escape(settings_page: Page) -> None:
    menu = settings_page.get_by_role("link", name="Settings", exact=True)
    settings_page.get_by_text(USERNAME, exact=True).first.click()
    expect(menu).to_be_visible()
    settings_page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
