"""The cast and the props of the tests: people, a broker, and a small real model."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from django.conf import settings as django_settings
from pytest_django import Settings

from accounts.models import User
from library.models import BaseModel
from studio import broker
from tuner.tiny import make_tiny_model
from work.models import WorkItem
from work.status import Status

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def quick_password_hashing(settings: Settings) -> None:
    """The real hashes are slow on purpose, half a second for each person of a test."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def alice(db: None) -> User:
    """Owns what the tests are about."""
    return User.objects.create_user("alice", "alice@example.org", PASSWORD)


@pytest.fixture
def bob(db: None) -> User:
    """Has the same rights, and must see nothing of Alice's."""
    return User.objects.create_user("bob", None, PASSWORD)


@pytest.fixture
def data_dir(tmp_path: Path, settings: object) -> Path:
    """An empty data folder for one test."""
    for name in ("run", "tmp", "locks", "logs"):
        (tmp_path / name).mkdir()
    settings.DATA_DIR = tmp_path  # type: ignore[attr-defined]
    settings.TEMPORARY_DIR = tmp_path / "tmp"  # type: ignore[attr-defined]
    return tmp_path


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random model in Hugging Face layout, made once."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def running_broker() -> Iterator[str]:
    """The embedded broker, started the way the studio starts it."""
    process = subprocess.Popen([sys.executable, "manage.py", "run_broker"])
    try:
        broker.wait_until_up(timeout_seconds=20)
        yield django_settings.REDIS_URL
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture
def tiny_base(db: None, data_dir: Path, tiny_model: Path) -> BaseModel:
    """The small model on the shelf, ready to be tuned."""
    shutil.copytree(tiny_model, data_dir / "models" / "tiny")
    work = WorkItem.objects.create(kind="base model", queue="cpu", status=Status.SUCCEEDED)
    return BaseModel.objects.create(name="tiny", source="tiny", work=work)


@pytest.fixture
def studio_server(transactional_db: None, running_broker: str) -> Iterator[str]:
    """The real ASGI application behind a real server, on the test's database. Gives host:port."""
    from studio.asgi import application  # loads the apps, which need their settings first

    config = uvicorn.Config(application, port=0, lifespan="off", log_level="warning")
    server = uvicorn.Server(config)
    listener = config.bind_socket()
    listener.listen()  # connections wait from now on, even before the server takes them
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()
