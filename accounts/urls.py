"""Addresses of set-up, sign-in and settings.

The names without namespace are those that allauth looks up.
"""

from __future__ import annotations

from allauth.account import views as allauth_views
from django.urls import include, path

from accounts import sign_in, views

own = [
    path("setup/", views.set_up, name="setup"),
    path("settings/", views.settings_page, name="settings"),
    path("settings/theme/", views.theme, name="theme"),
]

urlpatterns = [
    path("", include((own, "accounts"))),
    path("account/sign-in/", sign_in.SignIn.as_view(), name="account_login"),
    path("account/sign-out/", allauth_views.logout, name="account_logout"),
    path("account/sign-up/", allauth_views.signup, name="account_signup"),
    path("account/password/", sign_in.ChangePassword.as_view(), name="account_change_password"),
    path("account/password/set/", sign_in.SetPassword.as_view(), name="account_set_password"),
    path("account/inactive/", allauth_views.account_inactive, name="account_inactive"),
    path("account/confirm/", sign_in.Reauthenticate.as_view(), name="account_reauthenticate"),
]
