"""Addresses of set-up, sign-in and settings.

The names without namespace are those that allauth looks up.
"""

from __future__ import annotations

from allauth.account import views as allauth_views
from django.urls import include, path

from accounts import views

own = [
    path("setup/", views.set_up, name="setup"),
    path("settings/", views.settings_page, name="settings"),
]

urlpatterns = [
    path("", include((own, "accounts"))),
    path("account/sign-in/", allauth_views.login, name="account_login"),
    path("account/sign-out/", allauth_views.logout, name="account_logout"),
    path("account/sign-up/", allauth_views.signup, name="account_signup"),
    path("account/password/", allauth_views.password_change, name="account_change_password"),
    path("account/password/set/", allauth_views.password_set, name="account_set_password"),
    path("account/inactive/", allauth_views.account_inactive, name="account_inactive"),
    path("account/confirm/", allauth_views.reauthenticate, name="account_reauthenticate"),
]
