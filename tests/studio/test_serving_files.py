"""Static files, headers and health, at the real server."""

from __future__ import annotations

import httpx
import pytest
from django.test import Client

from studio import finders


# Django drops a response whose reader has gone, which here it has once it has every byte; the
# file behind it is then closed by the garbage collector, with a warning.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("css/tokens.css", "text/css"),
        ("js/job-live.js", "text/javascript"),
        ("plotly/plotly.min.js", "text/javascript"),
        ("django_htmx/htmx-2.min.js", "text/javascript"),
    ],
)
def test_files_are_served_from_where_they_are_installed(
    studio_server: str, path: str, kind: str
) -> None:
    answer = httpx.get(f"http://{studio_server}/static/{path}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)


def test_nothing_else_of_the_plotly_package_is_served(studio_server: str) -> None:
    others = [file.name for file in finders.package_folder().iterdir() if file.is_file()]
    assert len(others) > 1
    for name in others:
        if name != finders.FILE_NAME:
            assert httpx.get(f"http://{studio_server}/static/plotly/{name}").status_code == 404


def test_every_page_carries_the_content_security_policy(client: Client, db: None) -> None:
    policy = client.get("/account/sign-in/").headers["Content-Security-Policy"]
    directives = {directive.strip() for directive in policy.split(";")}
    assert {"script-src 'self'", "default-src 'self'", "frame-ancestors 'none'"} <= directives


@pytest.mark.usefixtures("running_broker")
def test_health_names_each_part(client: Client, db: None) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 200
    parts = answer.json()["parts"]
    assert parts == {
        "database": True,
        "broker": True,
        "tuning_worker": False,
        "helper_worker": False,
        "disk": True,
    }
    assert answer.json()["status"] == "degraded"


def test_a_foreign_host_name_is_refused(client: Client, db: None) -> None:
    assert client.get("/healthz", headers={"host": "evil.example"}).status_code == 400
