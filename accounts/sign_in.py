"""allauth's pages for passwords, answering a refused form with 422 and our words.

What signing in means, and how often one may try, stays allauth's.
"""

from __future__ import annotations

from typing import Any

from allauth.account import views
from django.forms import Form
from django.http import HttpResponse

from accounts import setup
from accounts.forms import (
    ConfirmPasswordForm,
    NewPasswordForm,
    PasswordChangeForm,
    SignInForm,
)


class AnswersRefusalWith422:
    """A form that needs another look is no success: htmx and monitors can tell."""

    def form_invalid(self, form: Form) -> HttpResponse:
        """The same page, with the errors at their fields."""
        response: HttpResponse = super().form_invalid(form)  # type: ignore[misc]
        response.status_code = 422
        return response


class SignIn(AnswersRefusalWith422, views.LoginView):
    """Sign in; a studio without accounts says how to make the first."""

    form_class = SignInForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Say whether the set-up page still waits."""
        return {**super().get_context_data(**kwargs), "waits_for_owner": setup.is_open()}


class ChangePassword(AnswersRefusalWith422, views.PasswordChangeView):
    """A new password for someone who knows the old one. This session stays valid."""

    form_class = PasswordChangeForm


class SetPassword(AnswersRefusalWith422, views.PasswordSetView):
    """A first password for an account without one."""

    form_class = NewPasswordForm


class Reauthenticate(AnswersRefusalWith422, views.ReauthenticateView):
    """The password again, before something delicate."""

    form_class = ConfirmPasswordForm
