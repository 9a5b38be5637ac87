"""The card beside the form: memory drawn and in words, what auto became, what is too long."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from accounts.models import User
from datasets.models import Dataset
from library.models import BaseModel
from tests.jobs.conftest import form_values
from tuner.memory import MemoryCalibration


@pytest.fixture
def page(client: Client, alice: User) -> Client:
    """Alice's browser."""
    client.force_login(alice)
    return client


def card(page: Client, dataset: Dataset, base: BaseModel, **changed: object) -> str:
    """What the card says, with its marks."""
    html = page.post("/jobs/estimate/", form_values(dataset, base, **changed)).content.decode()
    return html[html.index('id="estimate"') : html.index("</section>")]


def test_it_draws_and_tells_the_memory(
    page: Client, dataset: Dataset, tiny_base: BaseModel
) -> None:
    html = card(page, dataset, tiny_base)
    assert 'data-verdict="fits"' in html
    said = re.search(r'aria-label="At most about ([\d.]+) GB of ([\d.]+) GB available"', html)
    assert said
    assert float(said[1]) < float(said[2])
    assert "memory-limit" not in html
    assert "Packed, the fast path; up to 2,048 tokens at once; activations kept." in html


@pytest.mark.parametrize(
    ("available", "verdict"), [(0.5e9, "will not fit"), (0.6e9, "tight"), (0.9e9, "fits")]
)
def test_it_says_whether_the_peak_is_below_what_there_is(
    page: Client, dataset: Dataset, tiny_base: BaseModel, available: float, verdict: str
) -> None:
    memory = MemoryCalibration(device="cuda", device_bytes=available, process_bytes=500e6)
    timing = dict.fromkeys(
        (
            "start_seconds",
            "seconds_per_step",
            "seconds_per_token",
            "evaluation_seconds_per_token",
            "save_seconds",
            "shared_tokens",
        ),
        0.1,
    )
    BaseModel.objects.update(timing={**timing, "memory": memory.as_dict()})
    html = card(page, dataset, tiny_base)
    assert f'data-verdict="{verdict}"' in html
    assert ("memory-limit" in html) == (verdict == "will not fit")


def test_it_shows_what_auto_became(page: Client, dataset: Dataset, tiny_base: BaseModel) -> None:
    html = card(page, dataset, tiny_base, epochs="auto", batch_size="auto")
    found = re.findall(
        r'<dt>(\w[\w ]*) <span class="badge[^>]*>auto</span></dt><dd[^>]*>(\d)', html
    )
    assert found == [("Epochs", "4"), ("Batch size", "2")]


def test_it_says_that_examples_are_refused(
    page: Client, dataset: Dataset, tiny_base: BaseModel
) -> None:
    html = card(page, dataset, tiny_base, max_length_tokens=8, over_length="refuse")
    assert "longer than the limit, and the settings refuse" in html
    assert "Before it can start" in html


def test_it_says_that_no_example_is_left(
    page: Client, dataset: Dataset, tiny_base: BaseModel
) -> None:
    html = card(page, dataset, tiny_base, max_length_tokens=8)
    assert "Every example is longer than the limit." in html
    assert "Before it can start" in html
    assert "memory-bar" not in html
