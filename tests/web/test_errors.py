"""Error pages: in our look, without a trace of the inside, and leading somewhere."""

from __future__ import annotations

import pytest
from django.http import HttpRequest
from django.test import Client, RequestFactory
from pytest_django import DjangoDbBlocker

from accounts.models import User
from web import errors


def leads_on(page: str) -> bool:
    return 'href="/">Go to the studio</a>' in page


def test_an_unknown_address(client: Client, db: None) -> None:
    answer = client.get("/nothing/here/")
    assert answer.status_code == 404
    assert "There is nothing at this address" in answer.content.decode()
    assert leads_on(answer.content.decode())


def test_a_form_of_an_old_tab(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    answer = client.post("/settings/theme/", {"theme": "dark"})
    assert answer.status_code == 403
    assert "This form is out of date" in answer.content.decode()
    assert leads_on(answer.content.decode())


@pytest.mark.parametrize("status", [400, 403, 429, 500])
def test_every_other_page_says_what_is_safe_and_leads_on(status: int) -> None:
    request = RequestFactory().get("/somewhere/")
    pages = {
        400: lambda: errors.bad_request(request, ValueError()),
        403: lambda: errors.permission_denied(request, PermissionError()),
        429: lambda: errors.too_many_requests(request),
        500: lambda: errors.server_error(request),
    }
    answer = pages[status]()
    assert answer.status_code == status
    assert f"Error {status}" in answer.content.decode()
    assert leads_on(answer.content.decode())


def test_the_page_for_a_failure_needs_no_database(django_db_blocker: DjangoDbBlocker) -> None:
    request: HttpRequest = RequestFactory().get("/")
    with django_db_blocker.block():
        assert "on our side" in errors.server_error(request).content.decode()
