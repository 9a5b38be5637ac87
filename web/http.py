"""Requests and answers as the views use them."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from accounts.models import User


class UserRequest(HttpRequest):
    """A request behind sign-in, with htmx's details: what every view but sign-in gets."""

    user: User
    htmx: HtmxDetails


def page_or_fragment(
    request: UserRequest, page: str, fragment: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """The fragment alone for htmx, the whole page for everyone else."""
    is_fragment = request.htmx and not request.htmx.boosted
    return render(request, fragment if is_fragment else page, context, status=status)


def redirect_htmx(request: UserRequest, url: str) -> HttpResponse:
    """Leave the page: HX-Redirect for htmx, 302 for a plain form."""
    return HttpResponseClientRedirect(url) if request.htmx else HttpResponseRedirect(url)
