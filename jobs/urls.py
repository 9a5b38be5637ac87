"""Addresses of tuning jobs."""

from __future__ import annotations

from django.urls import path

from jobs import new_views, views, watch_views

app_name = "jobs"
urlpatterns = [
    path("", views.list_jobs, name="list"),
    path("new/", new_views.new, name="new"),
    path("estimate/", new_views.show_estimate, name="estimate"),
    path("latest/", views.latest, name="latest"),
    path("running/", views.running, name="running"),
    path("<uuid:job_id>/", views.detail, name="detail"),
    path("<uuid:job_id>/header/", views.header, name="header"),
    path("<uuid:job_id>/metrics/", views.read_metrics, name="metrics"),
    path("<uuid:job_id>/numbers/", views.numbers, name="numbers"),
    path("<uuid:job_id>/samples/", watch_views.samples, name="samples"),
    path("<uuid:job_id>/worst/", watch_views.worst, name="worst"),
    path("<uuid:job_id>/save-now/", watch_views.save_now, name="save_now"),
    path("<uuid:job_id>/finish/", watch_views.finish, name="finish"),
    path("<uuid:job_id>/cancel/", views.cancel, name="cancel"),
    path("<uuid:job_id>/delete/", views.delete, name="delete"),
    path("<uuid:job_id>/retry/", views.retry, name="retry"),
]
