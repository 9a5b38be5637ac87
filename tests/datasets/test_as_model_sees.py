"""Examples through a chat template, in a process that cannot hold the page up."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.cache import cache
from django.test import Client

from accounts.models import User
from datasets import rendering
from datasets.models import Dataset
from tests.datasets.making import make_dataset
from tuner.examples import Example

HTMX = {"HX-Request": "true"}
EXAMPLE = Example.from_pair("what follows 1?", "two\nlines")


@pytest.fixture(autouse=True)
def own_source() -> Iterator[None]:
    """Each test says itself where templates come from."""
    before = rendering.current_template
    cache.clear()
    yield
    rendering.set_template_source(before)
    cache.clear()


@pytest.fixture
def endless(tiny_model: Path, tmp_path: Path) -> rendering.Template:
    """A template that never ends."""
    folder = shutil.copytree(tiny_model, tmp_path / "endless")
    inner = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    (folder / "chat_template.jinja").write_text(inner)
    return rendering.Template("endless", folder)


def page_of(dataset: Dataset, client: Client) -> str:
    """The fragment as Alice gets it."""
    client.force_login(dataset.owner)
    return client.get(
        f"{dataset.get_absolute_url()}as-the-model-sees/", headers=HTMX
    ).content.decode()


def test_every_token_is_told_learned_or_read(tiny_model: Path) -> None:
    (rendered,) = rendering.render(rendering.Template("tiny", tiny_model), [EXAMPLE])
    learned = "".join(text for text, trained in rendered["pieces"] if trained)
    read = "".join(text for text, trained in rendered["pieces"] if not trained)
    assert learned.startswith("two↵\nlines")
    assert "what follows 1?" in read
    assert rendered["trained"] < rendered["tokens"]


def test_the_page_colours_what_is_learned(
    alice: User, data_dir: Path, tmp_path: Path, client: Client, tiny_model: Path
) -> None:
    rendering.set_template_source(lambda: rendering.Template("tiny", tiny_model))
    fragment = page_of(make_dataset(alice, tmp_path), client)
    assert "In the chat template of tiny" in fragment
    assert fragment.count('class="token token-trained"') > 3
    assert "<html" not in fragment


def test_without_a_base_model_the_turns_are_shown(
    alice: User, data_dir: Path, tmp_path: Path, client: Client
) -> None:
    rendering.set_template_source(rendering.no_template)
    fragment = page_of(make_dataset(alice, tmp_path), client)
    assert "No base model is ready yet" in fragment
    assert "what follows 0?" in fragment
    assert "turn-assistant" in fragment


def test_a_template_without_end_is_stopped_and_the_turns_shown(
    endless: rendering.Template,
    alice: User,
    data_dir: Path,
    tmp_path: Path,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rendering, "TIME_LIMIT_SECONDS", 2)
    rendering.set_template_source(lambda: endless)
    fragment = page_of(make_dataset(alice, tmp_path), client)
    assert "did not finish within 2 seconds" in fragment
    assert "what follows 0?" in fragment


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(rendering.RenderingError, match="could not be used"):
        rendering.render(rendering.Template("gone", tmp_path / "gone"), [EXAMPLE])
