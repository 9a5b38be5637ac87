"""Error pages that lead somewhere."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def answer(request: HttpRequest, status: int, title: str, sentence: str) -> HttpResponse:
    """One page for all errors: what happened, what is safe, where to go."""
    context = {"title": title, "sentence": sentence, "status": status}
    return render(request, "web/error.html", context, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400."""
    return answer(
        request,
        400,
        "This request could not be read",
        "Nothing was changed. Go back and try again.",
    )


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403."""
    return answer(
        request, 403, "This is not open to you", "Sign in as someone who may see it, or go back."
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 for a form whose secret does not fit, usually an old tab."""
    return answer(
        request,
        403,
        "This form is out of date",
        "Nothing was changed. Reload the page it came from and send it again.",
    )


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404, the same whether a thing is missing or someone else's."""
    return answer(
        request, 404, "There is nothing at this address", "It may have been deleted or renamed."
    )


def too_many_requests(request: HttpRequest) -> HttpResponse:
    """429 from the limits on signing in."""
    return answer(
        request,
        429,
        "Too many tries",
        "For safety, this address takes a break. Wait a minute, then try again.",
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """500."""
    return answer(
        request,
        500,
        "Something went wrong on our side",
        "Your data is as it was before. Try again; the log says more.",
    )
