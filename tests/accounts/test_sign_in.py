"""Signing in and out, and changing a password."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import User
from tests.conftest import PASSWORD

RIGHT = {"login": "alice", "password": PASSWORD}
SIGN_IN = "/account/sign-in/"


@pytest.mark.parametrize("path", ["/settings/", "/library/", "/library/base-models/"])
def test_pages_send_strangers_to_sign_in_and_back(client: Client, db: None, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer["location"]) == (302, f"{SIGN_IN}?next={path}")


def test_signing_in_leads_to_the_page_one_came_from(client: Client, alice: User) -> None:
    assert "Username" in client.get(SIGN_IN).content.decode()
    answer = client.post(SIGN_IN, RIGHT | {"next": "/settings/"})
    assert (answer.status_code, answer["location"]) == (302, "/settings/")
    assert "alice" in client.get("/settings/").content.decode()


def test_signing_in_never_leads_to_another_site(client: Client, alice: User) -> None:
    answer = client.post(SIGN_IN, RIGHT | {"next": "https://example.org/"})
    assert (answer.status_code, answer["location"]) == (302, "/")


def test_a_wrong_password_is_told_without_saying_which_part(client: Client, alice: User) -> None:
    pages = []
    for name in ("alice", "nobody"):
        answer = client.post(SIGN_IN, {"login": name, "password": "wrong"})
        assert answer.status_code == 422
        pages.append("do not belong together" in answer.content.decode())
    assert pages == [True, True]


def test_the_sixth_try_on_one_name_has_to_wait(client: Client, alice: User) -> None:
    for _ in range(5):
        client.post(SIGN_IN, {"login": "alice", "password": "wrong"})
    answer = client.post(SIGN_IN, RIGHT)
    assert answer.status_code == 422
    assert "Wait five minutes" in answer.content.decode()


def test_many_tries_from_one_address_get_a_page_of_ours(client: Client, db: None) -> None:
    statuses = {client.post(SIGN_IN, {}).status_code for _ in range(30)}
    answer = client.post(SIGN_IN, {})
    assert statuses == {422}
    assert answer.status_code == 429
    assert "Wait a minute" in answer.content.decode()


def test_a_studio_without_accounts_says_how_to_make_one(client: Client, db: None) -> None:
    assert "make run" in client.get(SIGN_IN).content.decode()


def test_a_studio_with_accounts_does_not(client: Client, alice: User) -> None:
    assert "make run" not in client.get(SIGN_IN).content.decode()


def test_signing_out_takes_a_post(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert "Sign out?" in client.get("/account/sign-out/").content.decode()
    assert client.get("/settings/").status_code == 200
    answer = client.post("/account/sign-out/", follow=True)
    assert answer.redirect_chain == [(SIGN_IN, 302)]
    assert "You are signed out." in answer.content.decode()
    assert client.get("/settings/").status_code == 302


def test_nobody_signs_up_alone(client: Client, db: None) -> None:
    answer = client.post("/account/sign-up/", {"username": "eve"})
    assert "Sign-up is closed" in answer.content.decode()
    assert not User.objects.exists()


def test_an_account_that_is_switched_off_is_told_so(client: Client, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)
    answer = client.post(SIGN_IN, RIGHT, follow=True)
    assert "switched off" in answer.content.decode()


def test_changing_the_password_keeps_this_session_and_ends_others(
    client: Client, alice: User
) -> None:
    other = Client()
    for browser in (client, other):
        browser.force_login(alice)
    new = {"oldpassword": PASSWORD, "password1": "clear blue water"}
    answer = client.post("/account/password/", new | {"password2": "clear blue water"}, follow=True)
    assert answer.redirect_chain == [("/settings/", 302)]
    assert "Your password is changed." in answer.content.decode()
    assert other.get("/settings/").status_code == 302
    alice.refresh_from_db()
    assert alice.check_password("clear blue water")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"oldpassword": "wrong"}, "not your current password"),
        ({"password2": "clear blue sky"}, "same password"),
        ({"password1": "a1!", "password2": "a1!"}, "too short"),
    ],
)
def test_a_password_that_cannot_be_taken_says_why(
    client: Client, alice: User, changed: dict[str, str], sentence: str
) -> None:
    client.force_login(alice)
    new = {"oldpassword": PASSWORD, "password1": "clear blue water"}
    answer = client.post("/account/password/", new | {"password2": "clear blue water"} | changed)
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)
