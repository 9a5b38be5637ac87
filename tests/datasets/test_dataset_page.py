"""The page of one dataset: findings, lengths, examples, search."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from accounts.models import User
from datasets.browse import browse
from datasets.models import Dataset
from tests.datasets.making import Rows, as_lines, make_dataset, numbers

HTMX = {"HX-Request": "true"}


@pytest.fixture
def alices(alice: User, data_dir: Path, client: Client) -> Client:
    """Alice's browser."""
    client.force_login(alice)
    return client


@pytest.fixture
def dataset(alice: User, data_dir: Path, tmp_path: Path) -> Dataset:
    """Forty-five good examples, the last with odd text, and twelve bad lines."""
    odd: Rows = [{"prompt": 'Say "grüße" \\ <b>', "completion": "Line\nbreak " + "long " * 200}]
    return make_dataset(alice, tmp_path, as_lines([*numbers(44), *odd]) + "broken\n" * 12)


def test_the_headline_the_bad_lines_and_the_way_on(alices: Client, dataset: Dataset) -> None:
    page = alices.get(dataset.get_absolute_url()).content.decode()
    assert "45 of 57 examples are good" in page
    assert "12 need a look" in page
    assert "This is not JSON" in page
    assert f'href="/jobs/new/?dataset={dataset.pk}"' in page
    assert "Prompt length, in characters: shortest" in page


def test_one_bad_line_needs_the_singular(alices: Client, alice: User, tmp_path: Path) -> None:
    dataset = make_dataset(alice, tmp_path, as_lines(numbers(20)) + "broken\n")
    assert "1 needs a look" in alices.get(dataset.get_absolute_url()).content.decode()


def test_bad_lines_and_examples_are_fragments_for_htmx(alices: Client, dataset: Dataset) -> None:
    address = dataset.get_absolute_url()
    bad = alices.get(f"{address}bad-lines/?bad_page=2", headers=HTMX).content.decode()
    assert 'id="bad-lines"' in bad
    assert bad.count("This is not JSON") == 2
    rows = alices.get(f"{address}rows/?page=3", headers=HTMX).content.decode()
    assert 'id="rows"' in rows
    assert "what follows 40?" in rows
    assert "<html" not in bad + rows
    assert "<html" in alices.get(f"{address}rows/?page=3").content.decode()


@pytest.mark.parametrize("query", ["follows 7?", "FOLLOWS 7?", '"GRÜSSE" \\ <b>', "line\nbreak"])
def test_search_finds_text_as_it_was_written(query: str, dataset: Dataset) -> None:
    page = browse(dataset.current, query)
    assert page.count == len(page.examples) == 1


def test_search_does_not_find_the_words_around_the_turns(dataset: Dataset) -> None:
    assert browse(dataset.current, "assistant").count == 0


def test_pages_begin_at_one_and_end_where_examples_end(dataset: Dataset) -> None:
    version = dataset.current
    assert [row.number for row in browse(version, number=3).examples] == [41, 42, 43, 44, 45]
    assert browse(version, number=99).number == 3
    assert browse(version, number=-5).number == 1
    assert browse(version, "follows 1", number=1).count == 11


def test_search_is_shown_without_javascript_and_escaped(alices: Client, dataset: Dataset) -> None:
    page = alices.get(f"{dataset.get_absolute_url()}rows/", {"search": "<b>"}).content.decode()
    assert "1 example with “&lt;b&gt;”" in page
    assert "<b>" not in page


def test_odd_addresses_are_taken_calmly(alices: Client, dataset: Dataset) -> None:
    address = f"{dataset.get_absolute_url()}rows/"
    endless = "9" * 5000
    odd = ("page=abc", "page=-1", "page=99999999999", "bad_page=x", "search=%00")
    for query in (*odd, f"page={endless}", f"bad_page={endless}"):
        assert alices.get(f"{address}?{query}", headers=HTMX).status_code == 200


def test_a_stranger_finds_nothing(dataset: Dataset, bob: User) -> None:
    stranger = Client()
    stranger.force_login(bob)
    address = dataset.get_absolute_url()
    for part in ("", "rows/", "bad-lines/", "as-the-model-sees/", "delete/"):
        assert stranger.get(address + part).status_code == 404
        assert stranger.get(address + part, headers=HTMX).status_code == 404
    for part in ("rename/", "delete/"):
        assert stranger.post(address + part, {"name": "mine"}).status_code == 404
    assert "numbers" not in stranger.get("/datasets/").content.decode()
    dataset.refresh_from_db()
    assert dataset.name == "numbers"
