"""The address of the first page, and of the button that begins with sample data."""

from __future__ import annotations

from django.urls import path

from jobs import home

urlpatterns = [
    path("", home.home, name="home"),
    path("start/<slug:slug>/", home.start_with_sample, name="start_with_sample"),
]
