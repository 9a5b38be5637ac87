"""Addresses of tuned models and base models."""

from __future__ import annotations

from django.urls import path

from library import base_model_views, views

app_name = "library"
urlpatterns = [
    path("", views.list_models, name="list"),
    path("<uuid:model_id>/", views.detail, name="detail"),
    path("<uuid:model_id>/rename/", views.rename, name="rename"),
    path("<uuid:model_id>/delete/", views.delete, name="delete"),
    path("base-models/", base_model_views.base_models, name="base_models"),
    path("base-models/<uuid:base_id>/", base_model_views.state, name="base_model_state"),
    path("base-models/<uuid:base_id>/retry/", base_model_views.retry, name="base_model_retry"),
    path("base-models/<uuid:base_id>/cancel/", base_model_views.cancel, name="base_model_cancel"),
    path("base-models/<uuid:base_id>/delete/", base_model_views.delete, name="base_model_delete"),
]
