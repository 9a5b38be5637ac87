"""The settings page and the theme, which is kept in a cookie."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.test import Client

from accounts.models import User


def test_the_page_says_who_one_is_and_which_version_runs(client: Client, alice: User) -> None:
    client.force_login(alice)
    page = client.get("/settings/").content.decode()
    assert "alice" in page
    assert settings.STUDIO_VERSION in page


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_chosen_theme_is_in_the_next_page_from_its_first_byte(
    client: Client, db: None, theme: str
) -> None:
    answer = client.post("/settings/theme/", {"theme": theme, "next": "/account/sign-in/"})
    assert (answer.status_code, answer["location"]) == (302, "/account/sign-in/")
    assert f'data-theme="{theme}"' in client.get("/account/sign-in/").content.decode()


def test_the_systems_theme_takes_the_choice_back(client: Client, db: None) -> None:
    client.post("/settings/theme/", {"theme": "dark"})
    client.post("/settings/theme/", {"theme": "system"})
    assert "data-theme=" not in client.get("/account/sign-in/").content.decode()


def test_an_unknown_theme_changes_nothing(client: Client, db: None) -> None:
    answer = client.post("/settings/theme/", {"theme": "neon", "next": "https://example.org/"})
    assert answer["location"] == "/"
    assert "theme" not in answer.cookies
