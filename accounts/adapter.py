"""How sign-in behaves here: accounts are made at set-up or in the shell, never by strangers."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest
from django.urls import reverse


class ClosedSignUp(DefaultAccountAdapter):
    """allauth's defaults, with public sign-up closed and our words for what went wrong."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "username_password_mismatch": "This name and password do not belong together. "
        "Check both, capital letters too.",
        "too_many_login_attempts": "Too many tries with this name. Wait five minutes, then try "
        "again.",
        "enter_current_password": "This is not your current password.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Nobody signs up alone."""
        return False

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        """Back to the page that led there, which shows that it worked."""
        return reverse("accounts:settings")
