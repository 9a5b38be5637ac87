"""Examples through a chat template, in a process that cannot hold the page up."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from accounts.models import User
from datasets import rendering
from datasets.models import Dataset
from tests.datasets.making import make_dataset
from tuner.encode import ChatEncoder
from tuner.examples import Example

HTMX = {"HX-Request": "true"}
EXAMPLE = Example.from_pair("what follows 1?", "two\nlines")


@pytest.fixture(autouse=True)
def own_source() -> Iterator[None]:
    """Each test says itself where templates come from."""
    before = rendering.templates
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


def page_of(dataset: Dataset, client: Client, **choices: str) -> str:
    """The fragment as Alice gets it."""
    client.force_login(dataset.owner)
    return client.get(
        f"{dataset.get_absolute_url()}as-the-model-sees/", choices, headers=HTMX
    ).content.decode()


def texts(rendered: dict[str, Any], *, trained: bool) -> str:
    """What is learned, or what is only read."""
    runs = (run["tokens"] for run in rendered["runs"] if run["trained"] == trained)
    return "".join(token["text"] for tokens in runs for token in tokens)


def learned_on(fragment: str) -> str:
    """The text of the underlined tokens."""
    marks = re.findall(r'<mark class="token-learned"><span.*?</mark>', fragment, re.S)
    tokens = re.findall(r'class="token"[^>]*>(.*?)</span>', "".join(marks), re.S)
    return unescape("".join(tokens))


def test_every_token_is_told_learned_or_read(tiny_model: Path) -> None:
    (rendered,) = rendering.render(rendering.Template("tiny", tiny_model), [EXAMPLE])
    assert texts(rendered, trained=True) == "two↵\nlines<|im_end|>"
    assert "what follows 1?" in texts(rendered, trained=False)
    assert rendered["trained"] < rendered["tokens"]


def test_every_token_has_its_ids_and_a_split_character_all_of_them(tiny_model: Path) -> None:
    template = rendering.Template("tiny", tiny_model)
    example = Example.from_pair("go", "世")
    (rendered,) = rendering.render(template, [example])
    ids = [token["ids"] for run in rendered["runs"] for token in run["tokens"]]
    encoded = ChatEncoder.load(tiny_model).encode_example(example)
    assert " ".join(ids) == " ".join(map(str, encoded.ids))
    assert any(" " in one for one in ids)


def test_the_page_marks_what_is_learned(
    alice: User, data_dir: Path, tmp_path: Path, client: Client, tiny_model: Path
) -> None:
    rendering.set_template_source(lambda: [rendering.Template("tiny", tiny_model)])
    fragment = page_of(make_dataset(alice, tmp_path), client)
    assert learned_on(fragment) == "1<|im_end|>"
    assert "[learned: " in fragment  # for those who see neither colour nor line
    assert "<html" not in fragment


def test_any_example_is_chosen_by_its_number(
    alice: User, data_dir: Path, tmp_path: Path, client: Client, tiny_model: Path
) -> None:
    rendering.set_template_source(lambda: [rendering.Template("tiny", tiny_model)])
    dataset = make_dataset(alice, tmp_path)
    fragment = page_of(dataset, client, example="12")
    assert learned_on(fragment) == "12<|im_end|>"
    assert "?example=11&amp;model=tiny" in fragment
    assert "?example=13&amp;model=tiny" in fragment
    assert 'rel="prev"' not in page_of(dataset, client, example="1")
    assert 'rel="next"' not in page_of(dataset, client, example="30")


@pytest.mark.parametrize(
    ("number", "answer"), [("0", "1"), ("-4", "1"), ("99999999999999999", "1"), ("31", "30")]
)
def test_a_number_that_is_not_there_shows_one_that_is(
    alice: User, data_dir: Path, tmp_path: Path, client: Client, tiny_model: Path, number, answer
) -> None:
    rendering.set_template_source(lambda: [rendering.Template("tiny", tiny_model)])
    fragment = page_of(make_dataset(alice, tmp_path), client, example=number)
    assert learned_on(fragment) == f"{answer}<|im_end|>"


def test_what_is_learned_and_which_model_reads_are_chosen(
    alice: User, data_dir: Path, tmp_path: Path, client: Client, tiny_model: Path
) -> None:
    plain = shutil.copytree(tiny_model, tmp_path / "plain")
    config = json.loads((plain / "tokenizer_config.json").read_text())
    del config["chat_template"]
    (plain / "tokenizer_config.json").write_text(json.dumps(config))
    sources = [rendering.Template("tiny", tiny_model), rendering.Template("bare", plain)]
    rendering.set_template_source(lambda: sources)
    dataset = make_dataset(alice, tmp_path)
    fragment = page_of(dataset, client, model="bare", trained_on="everything")
    assert learned_on(fragment).startswith("User:↵\nwhat follows 0?")
    assert "plain one is used" in fragment
    assert "plain one is used" not in page_of(dataset, client, model="unknown", trained_on="x")


def test_without_a_base_model_the_turns_are_shown(
    alice: User, data_dir: Path, tmp_path: Path, client: Client
) -> None:
    rendering.set_template_source(rendering.no_templates)
    fragment = page_of(make_dataset(alice, tmp_path), client, example="3")
    assert "No base model is ready yet" in fragment
    assert "what follows 2?" in fragment
    assert "turn-assistant" in fragment


def test_nobody_sees_the_tokens_of_another_persons_dataset(
    alice: User, bob: User, data_dir: Path, tmp_path: Path, client: Client
) -> None:
    dataset = make_dataset(alice, tmp_path)
    client.force_login(bob)
    assert client.get(f"{dataset.get_absolute_url()}as-the-model-sees/").status_code == 404


def test_a_template_without_end_is_stopped_and_the_turns_shown(
    endless: rendering.Template,
    alice: User,
    data_dir: Path,
    tmp_path: Path,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rendering, "TIME_LIMIT_SECONDS", 2)
    rendering.set_template_source(lambda: [endless])
    fragment = page_of(make_dataset(alice, tmp_path), client)
    assert "did not finish within 2 seconds" in fragment
    assert "what follows 0?" in fragment


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(rendering.RenderingError, match="could not be used"):
        rendering.render(rendering.Template("gone", tmp_path / "gone"), [EXAMPLE])
