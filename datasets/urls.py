"""Addresses of this app."""

from __future__ import annotations

from django.urls import path

from datasets import token_views, upload_views, views

app_name = "datasets"
urlpatterns = [
    path("", views.list_datasets, name="list"),
    path("new/", upload_views.new, name="new"),
    path("samples/<slug:slug>/", views.use_sample, name="use_sample"),
    path("uploads/<uuid:upload_id>/", upload_views.mapping, name="mapping"),
    path("uploads/<uuid:upload_id>/preview/", upload_views.mapping_preview, name="preview"),
    path("uploads/<uuid:upload_id>/discard/", upload_views.discard, name="discard"),
    path("<uuid:dataset_id>/", views.detail, name="detail"),
    path("<uuid:dataset_id>/rows/", views.rows, name="rows"),
    path("<uuid:dataset_id>/bad-lines/", views.bad_lines, name="bad_lines"),
    path("<uuid:dataset_id>/as-the-model-sees/", token_views.as_model_sees, name="as_model_sees"),
    path("<uuid:dataset_id>/rename/", views.rename, name="rename"),
    path("<uuid:dataset_id>/delete/", views.delete, name="delete"),
]
