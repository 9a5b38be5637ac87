"""Every address of the studio, by app."""

from __future__ import annotations

from django.urls import include, path

from studio.health import healthz
from studio.palette import palette

urlpatterns = [
    path("", include("jobs.urls_home")),
    path("", include("accounts.urls")),
    path("datasets/", include("datasets.urls")),
    path("jobs/", include("jobs.urls")),
    path("library/", include("library.urls")),
    path("playground/", include("playground.urls")),
    path("palette/", palette, name="palette"),
    path("healthz", healthz, name="healthz"),
]

handler400 = "web.errors.bad_request"
handler403 = "web.errors.permission_denied"
handler404 = "web.errors.page_not_found"
handler429 = "web.errors.too_many_requests"  # looked up by allauth
handler500 = "web.errors.server_error"
