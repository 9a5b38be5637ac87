"""The secret of a model server: whole or not there, never empty, and needed on a port."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from serving.__main__ import make_secret, refuse_empty
from serving.host import make_app


def client_of(data_folder: Path, *, needs_secret: bool) -> TestClient:
    app = make_app(data_folder, memory_bytes=1, most_requests=1, needs_secret=needs_secret)
    return TestClient(app)


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    return tmp_path / "run" / "serving.secret"


def test_a_secret_is_made_once_and_for_its_owner_alone(secret_file: Path) -> None:
    make_secret(secret_file)
    secret = secret_file.read_text()
    make_secret(secret_file)
    assert len(secret) > 40
    assert secret_file.read_text() == secret
    assert secret_file.stat().st_mode & 0o777 == 0o600
    assert list(secret_file.parent.iterdir()) == [secret_file]


def test_on_a_port_only_who_knows_the_secret_is_served(secret_file: Path, tmp_path: Path) -> None:
    client = client_of(tmp_path, needs_secret=True)
    assert client.get("/healthz").status_code == 401
    make_secret(secret_file)
    known = {"Authorization": f"Bearer {secret_file.read_text()}"}
    assert client.get("/healthz", headers=known).status_code == 200
    assert client.get("/healthz").status_code == 401


def test_on_a_socket_no_secret_is_needed_until_there_is_one(tmp_path: Path) -> None:
    assert client_of(tmp_path, needs_secret=False).get("/healthz").status_code == 200


@pytest.mark.parametrize("needs_secret", [True, False])
def test_an_empty_secret_opens_nothing(
    secret_file: Path, tmp_path: Path, needs_secret: bool
) -> None:
    secret_file.parent.mkdir()
    secret_file.write_text("\n")
    with pytest.raises(SystemExit, match="is empty"):
        refuse_empty(secret_file)
    client = client_of(tmp_path, needs_secret=needs_secret)
    for given in ("Bearer", "Bearer ", ""):
        assert client.get("/healthz", headers={"Authorization": given}).status_code == 401
