"""A job that will probably not fit into memory starts only when the person says so."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import User
from datasets.models import Dataset
from jobs.models import Job
from library.models import BaseModel
from tests.jobs.conftest import form_values
from tests.jobs.test_estimate import TIMING
from tuner.memory import MemoryCalibration

BOX = 'name="accepts_memory"'


@pytest.fixture
def page(client: Client, alice: User) -> Client:
    """Alice's browser."""
    client.force_login(alice)
    return client


@pytest.fixture
def large_base(tiny_base: BaseModel) -> BaseModel:
    """A base model on a machine that has a megabyte for it."""
    memory = MemoryCalibration(device="cuda", device_bytes=1e6, process_bytes=0)
    tiny_base.timing = {**TIMING.as_dict(), "memory": memory.as_dict()}
    tiny_base.save()
    return tiny_base


def test_what_fits_asks_for_no_consent(
    page: Client, dataset: Dataset, tiny_base: BaseModel
) -> None:
    assert BOX not in page.get("/jobs/new/").content.decode()
    answer = page.post("/jobs/estimate/", form_values(dataset, tiny_base)).content.decode()
    assert BOX not in answer


def test_what_will_not_fit_is_refused_with_the_numbers_and_a_box(
    page: Client, dataset: Dataset, large_base: BaseModel
) -> None:
    answer = page.post("/jobs/new/", form_values(dataset, large_base))
    html = answer.content.decode()
    assert answer.status_code == 422
    assert "0.0 GB are free" in html
    assert BOX in html
    assert '<a href="#id_accepts_memory">' in html
    assert not Job.objects.exists()


def test_the_box_appears_beside_the_card_before_the_form_is_sent(
    page: Client, dataset: Dataset, large_base: BaseModel
) -> None:
    html = page.post("/jobs/estimate/", form_values(dataset, large_base)).content.decode()
    assert 'data-verdict="will not fit"' in html
    assert BOX in html


def test_a_ticked_box_starts_the_job_all_the_same(
    page: Client, dataset: Dataset, large_base: BaseModel
) -> None:
    answer = page.post("/jobs/new/", form_values(dataset, large_base, accepts_memory="on"))
    assert answer["Location"] == f"/jobs/{Job.objects.get().pk}/"
