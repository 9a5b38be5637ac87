"""Addresses of the playground."""

from __future__ import annotations

from django.urls import path

from playground import views

app_name = "playground"
urlpatterns = [
    path("", views.page, name="page"),
    path("answer/", views.answer, name="answer"),
]
