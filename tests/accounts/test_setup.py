"""The first account: who may make it, once, and what the address gives away."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connections
from django.test import Client

from accounts import setup
from accounts.models import User

ACCOUNT = {"username": "owner", "password1": "clear blue water", "password2": "clear blue water"}


def invited(token: str) -> Client:
    """A browser that opened the address from the terminal."""
    client = Client()
    client.get("/setup/", {"token": token})
    return client


def test_the_token_is_for_this_account_of_the_machine_alone(token: str, token_file: Path) -> None:
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    assert len(token) >= 43  # 32 bytes
    assert setup.token() == token


@pytest.mark.parametrize("candidate", ["", "wrong", "é"])
def test_a_wrong_token_finds_nothing(client: Client, db: None, token: str, candidate: str) -> None:
    assert client.get("/setup/", {"token": candidate}).status_code == 404
    assert client.get("/setup/").status_code == 404


def test_the_right_token_leaves_the_address(client: Client, db: None, token: str) -> None:
    answer = client.get("/setup/", {"token": token})
    assert (answer.status_code, answer["location"]) == (302, "/setup/")
    page = client.get("/setup/")
    assert page.status_code == 200
    assert token not in page.content.decode()


def test_another_browser_is_not_let_in_by_the_first_ones_token(
    client: Client, db: None, token: str
) -> None:
    invited(token)
    assert client.get("/setup/").status_code == 404


def test_the_form_makes_the_owner_and_signs_in(db: None, token: str, token_file: Path) -> None:
    browser = invited(token)
    answer = browser.post("/setup/", ACCOUNT)
    assert (answer.status_code, answer["location"]) == (302, "/")
    owner = User.objects.get()
    assert (owner.is_owner, owner.is_staff, owner.email) == (True, True, None)
    assert browser.get("/settings/").status_code == 200
    assert not token_file.exists()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"password2": "clear blue sky"}, "password fields didn"),
        ({"password1": "password", "password2": "password"}, "too common"),
        ({"password1": "a1!", "password2": "a1!"}, "too short"),
        ({"username": "not a name"}, "valid username"),
        ({"username": ""}, "required"),
    ],
)
def test_a_form_that_is_not_right_says_where(
    db: None, token: str, changed: dict[str, str], sentence: str
) -> None:
    answer = invited(token).post("/setup/", ACCOUNT | changed)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert sentence in page
    assert 'class="field-error"' in page
    assert not User.objects.exists()


def test_set_up_is_gone_once_an_account_exists(token: str, alice: User) -> None:
    client = Client()
    assert client.get("/setup/", {"token": token}).status_code == 404
    assert client.post("/setup/", ACCOUNT).status_code == 404


def test_set_up_is_gone_after_createsuperuser(
    db: None, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = invited(token)
    monkeypatch.setenv("DJANGO_SUPERUSER_USERNAME", "root")
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "clear blue water")
    monkeypatch.setenv("DJANGO_SUPERUSER_EMAIL", "root@example.org")
    call_command("createsuperuser", interactive=False, verbosity=0)
    assert User.objects.get().check_password("clear blue water")
    assert browser.get("/setup/").status_code == 404
    assert browser.post("/setup/", ACCOUNT).status_code == 404
    assert Client().login(username="root", password="clear blue water")


def test_createsuperuser_needs_no_address(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "clear blue water")
    for name in ("first", "second"):
        call_command("createsuperuser", interactive=False, verbosity=0, username=name, email="")
    assert User.objects.filter(email__isnull=True).count() == 2


@pytest.mark.django_db(transaction=True)
def test_of_two_forms_sent_at_once_one_makes_the_owner(token: str) -> None:
    browsers = [invited(token) for _ in range(2)]
    gate = threading.Barrier(2)
    statuses: list[int] = []

    def send(number: int) -> None:
        gate.wait()
        answer = browsers[number].post("/setup/", ACCOUNT | {"username": f"owner{number}"})
        statuses.append(answer.status_code)
        connections.close_all()

    threads = [threading.Thread(target=send, args=[number]) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [302, 404]
    assert User.objects.count() == 1
