"""The frame around every page: its menu, its promises to the browser, and the palette."""

from __future__ import annotations

import re

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from accounts.models import User
from datasets.models import Dataset

PAGES = ["/settings/", "/library/", "/library/base-models/", "/account/password/", "/datasets/"]


@pytest.fixture
def page(client: Client, alice: User) -> Client:
    """Alice's browser."""
    client.force_login(alice)
    return client


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_the_menu_and_no_inline_script(page: Client, path: str) -> None:
    text = page.get(path).content.decode()
    menu = text[text.index('<nav class="rail-nav"') : text.index("</nav>")]
    words = re.findall(r"</svg>\s*([^<]+)</a>", menu)
    assert words == ["Datasets", "Tuning jobs", "My library", "Playground"]
    assert re.findall(r"<script(?![^>]*\bsrc=)", text) == []
    assert not re.search(r"\son\w+=", text)
    assert text.count("<h1>") == 1


@pytest.mark.parametrize("path", [*PAGES, "/account/sign-in/"])
def test_every_file_a_page_asks_for_is_there(page: Client, path: str) -> None:
    if "sign-in" in path:
        page.logout()
    text = page.get(path).content.decode()
    asked = re.findall(r'(?:href|src)="/static/([^"?]+)', text)
    assert len(asked) > 5
    assert [name for name in asked if not finders.find(name)] == []


def test_the_page_one_is_on_is_marked_in_the_menu(page: Client) -> None:
    text = page.get("/library/").content.decode()
    assert re.search(r'href="/library/"[^>]*aria-current="page"', text)
    assert text.count('aria-current="page"') == 1


def test_the_palette_finds_ones_own_things_only(page: Client, alice: User, bob: User) -> None:
    mine = Dataset.objects.create(owner=alice, name="numbers")
    Dataset.objects.create(owner=bob, name="secret")
    assert page.get("/palette/").json() == {
        "entries": [{"name": "numbers", "kind": "Dataset", "url": f"/datasets/{mine.pk}/"}]
    }


def test_the_palette_is_closed_to_strangers(client: Client, db: None) -> None:
    assert client.get("/palette/").status_code == 302
