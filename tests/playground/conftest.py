"""A real model server behind the playground, with Alice's tuned model and its base on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings as django_settings
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from library.models import BaseModel, TunedModel
from tests.serving.server import Server, events, write_adapter
from work.models import WorkItem
from work.status import Status

ALL_OF_IT = {"temperature": 0, "top_p": 1, "top_k": 0, "max_tokens": 24, "system_prompt": ""}
Browser = Callable[[User], httpx.Client]


@pytest.fixture(scope="session")
def model_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("playground")) as server:
        yield server


@pytest.fixture
def serving(model_server: Server, settings: Settings) -> Server:
    """The studio's model server, for one test."""
    settings.SERVING_URL = f"unix://{model_server.socket}"
    return model_server


@pytest.fixture
def tiny_base(db: None, data_dir: Path, tiny_model: Path) -> BaseModel:
    """The small model on the shelf, at one place for all tests: one engine serves them all."""
    (data_dir / "models").mkdir()
    (data_dir / "models" / "tiny").symlink_to(tiny_model)
    work = WorkItem.objects.create(kind="base model", queue="cpu", status=Status.SUCCEEDED)
    return BaseModel.objects.create(name="tiny", source="tiny", work=work)


@pytest.fixture
def tuned(alice: User, tiny_base: BaseModel, data_dir: Path) -> TunedModel:
    """Alice's model, made from the small one."""
    write_adapter(tiny_base.folder, data_dir / "adapters" / "one", seed=1)
    return TunedModel.objects.create(
        owner=alice, name="counter", base=tiny_base, folder_name="adapters/one"
    )


@pytest.fixture
def browser(studio_server: str) -> Iterator[Browser]:
    """A signed-in person's browser on the running studio."""
    opened = []

    def open_it(user: User) -> httpx.Client:
        client = Client()
        client.force_login(user)
        name = django_settings.SESSION_COOKIE_NAME
        cookies = {name: client.cookies[name].value, django_settings.CSRF_COOKIE_NAME: "x" * 32}
        opened.append(
            httpx.Client(
                base_url=f"http://{studio_server}",
                cookies=cookies,
                headers={"X-CSRFToken": "x" * 32},
                timeout=60,
            )
        )
        return opened[-1]

    yield open_it
    for client in opened:
        client.close()


def question(
    model: BaseModel | TunedModel, prompt: str = "hi", /, **changed: Any
) -> dict[str, Any]:
    """What the page's script sends for one column."""
    turns = f'[{{"role": "user", "content": "{prompt}"}}]'
    return {**ALL_OF_IT, "model": str(model.pk), "turns": turns, **changed}


@contextmanager
def streamed(
    browser: httpx.Client, sent: dict[str, Any], timeout: float = 60
) -> Iterator[Iterator[Any]]:
    """The events that the page's script reads."""
    with browser.stream("POST", "/playground/answer/", data=sent, timeout=timeout) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"] == "text/event-stream"
        yield events(response.iter_lines())


def text_of(seen: list[Any]) -> str:
    """The answer in the events."""
    return "".join(event["text"] for event in seen if event["type"] == "piece")
