"""Bodies that are too large, too slow, or without a session, at the real server."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest
from django.conf import settings as django_settings
from django.test import Client

from accounts.models import User
from studio import guard


@pytest.fixture
def browser(studio_server: str, alice: User) -> Iterator[httpx.Client]:
    """Alice's browser, signed in."""
    signed_in = Client()
    signed_in.force_login(alice)
    name = django_settings.SESSION_COOKIE_NAME
    with httpx.Client(
        base_url=f"http://{studio_server}", cookies={name: signed_in.cookies[name].value}
    ) as client:
        yield client


def test_a_body_over_the_limit_is_refused_with_a_page(
    browser: httpx.Client, settings: object
) -> None:
    settings.REQUEST_LIMIT_BYTES = 1000  # type: ignore[attr-defined]
    answer = browser.post("/jobs/new/", content=b"x" * 2000)
    assert answer.status_code == 413
    assert "at most" in answer.text
    assert answer.headers["content-type"].startswith("text/html")


def test_a_body_without_a_length_is_counted(browser: httpx.Client, settings: object) -> None:
    settings.REQUEST_LIMIT_BYTES = 1000  # type: ignore[attr-defined]
    answer = browser.post("/jobs/new/", content=(b"x" * 500 for _ in range(5)))
    assert answer.status_code == 413


def test_a_file_may_be_larger_than_a_form_but_only_with_a_session(
    studio_server: str, browser: httpx.Client, settings: object
) -> None:
    settings.REQUEST_LIMIT_BYTES = 1000  # type: ignore[attr-defined]
    body = b"x" * 5000
    assert browser.post("/datasets/new/", content=body).status_code == 403  # past the guard
    stranger = httpx.post(f"http://{studio_server}/datasets/new/", content=body)
    assert stranger.status_code == 413


def test_a_body_that_stalls_is_given_up(
    studio_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "PROGRESS_SECONDS", 0.5)
    host, port = studio_server.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            b"POST /jobs/new/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nonly this"
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")


def test_a_body_larger_than_the_free_disk_is_refused(
    browser: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.disk.free_bytes", lambda folder: 100)
    answer = browser.post("/jobs/new/", content=b"x" * 2000)
    assert answer.status_code == 507
    assert "disk is full" in answer.text
