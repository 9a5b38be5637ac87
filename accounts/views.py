"""Set-up and settings pages. Sign-in, sign-out and password change are allauth's."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts import setup
from accounts.forms import OwnerForm
from web.http import UserRequest

MAY_SET_UP = "may_set_up"
THEMES = {"system", "light", "dark"}
YEAR_SECONDS = 365 * 24 * 3600


@never_cache
@login_not_required
def set_up(request: HttpRequest) -> HttpResponse:
    """Make the first account, once, for whoever holds the token from the terminal."""
    if not setup.is_open():
        raise Http404
    candidate = request.GET.get("token")
    if candidate is not None:
        if not setup.matches(candidate):
            raise Http404
        request.session[MAY_SET_UP] = True
        return redirect("accounts:setup")  # the token leaves the address bar and the history
    if not request.session.get(MAY_SET_UP):
        raise Http404
    return account_form(request)


def account_form(request: HttpRequest) -> HttpResponse:
    """Show the form, or take it and sign the owner in."""
    form = OwnerForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            owner = setup.create_owner(
                form.cleaned_data["username"], form.cleaned_data["password1"]
            )
        except setup.SetupClosedError as error:
            raise Http404 from error
        login(request, owner, backend="allauth.account.auth_backends.AuthenticationBackend")
        return redirect("home")
    status = 422 if form.is_bound else 200
    return render(request, "accounts/setup.html", {"form": form}, status=status)


def settings_page(request: UserRequest) -> HttpResponse:
    """The signed-in person's own page."""
    context = {"version": settings.STUDIO_VERSION, "data_folder": settings.DATA_DIR}
    return render(request, "accounts/settings.html", context)


@login_not_required
@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Keep the theme in a cookie, so that the server sends the right one at once."""
    chosen = request.POST.get("theme", "")
    target = request.POST.get("next", "/")
    is_ours = url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()})
    response = redirect(target if is_ours else "/")
    if chosen in THEMES:
        response.set_cookie("theme", chosen, max_age=YEAR_SECONDS, samesite="Lax")
    return response
