"""What a deleted model leaves behind: nothing in memory, nothing on disk."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pytest_django import Settings

from library import removal
from tests.library.conftest import ModelMaker

forgotten: list[str] = []


class ModelServer(BaseHTTPRequestHandler):
    """Stands where the model server stands, and writes down what it is told to forget."""

    def do_DELETE(self) -> None:
        forgotten.append(self.path)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def model_server(settings: Settings) -> Iterator[None]:
    """A server at SERVING_URL."""
    forgotten.clear()
    with HTTPServer(("127.0.0.1", 0), ModelServer) as server:
        settings.SERVING_URL = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


@pytest.mark.django_db(transaction=True)
def test_the_server_forgets_a_deleted_model(model_server: None, make_model: ModelMaker) -> None:
    model = make_model()
    key, folder = model.pk, model.folder
    removal.delete_tuned_model(model)
    assert forgotten == [f"/models/{key}"]
    assert not folder.exists()


@pytest.mark.django_db(transaction=True)
def test_a_server_that_is_away_does_not_keep_a_model(
    make_model: ModelMaker, settings: Settings
) -> None:
    settings.SERVING_URL = "unix:///nowhere/serving.sock"
    model = make_model()
    folder = model.folder
    removal.delete_tuned_model(model)
    assert not folder.exists()
