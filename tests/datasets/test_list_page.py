"""The list of datasets, the sample sets, renaming and deleting."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from accounts.models import User
from datasets.models import Dataset
from jobs.models import Job
from library.models import BaseModel
from tests.datasets.making import assert_nothing_left, files_in, make_dataset
from tuner.settings import TuningSettings
from work.models import WorkItem


@pytest.fixture
def alices(alice: User, data_dir: Path, client: Client) -> Client:
    """Alice's browser."""
    client.force_login(alice)
    return client


def job_on(dataset: Dataset) -> Job:
    """A job that was made with the dataset."""
    base = BaseModel.objects.create(
        name="tiny", source="tiny", work=WorkItem.objects.create(kind="base model", queue="cpu")
    )
    return Job.objects.create(
        owner=dataset.owner,
        work=WorkItem.objects.create(kind="tuning", queue="gpu"),
        base_model=base,
        dataset_version=dataset.current,
        tuned_model_name="counter",
        settings=TuningSettings().as_dict(),
    )


def test_an_empty_list_teaches_and_offers_samples(alices: Client) -> None:
    page = alices.get("/datasets/").content.decode()
    assert "New dataset" in page
    assert "Bring your first examples" in page
    assert 'action="/datasets/samples/next-number/"' in page


def test_the_list_shows_what_there_is(alices: Client, alice: User, tmp_path: Path) -> None:
    dataset = make_dataset(alice, tmp_path, name="My numbers")
    page = alices.get("/datasets/").content.decode()
    assert "My numbers" in page
    assert dataset.get_absolute_url() in page
    assert "Bring your first examples" not in page


def test_the_list_asks_the_database_a_fixed_number_of_times(
    alices: Client, alice: User, tmp_path: Path, django_assert_max_num_queries: object
) -> None:
    for number in range(5):
        make_dataset(alice, tmp_path, name=f"numbers {number}")
    with django_assert_max_num_queries(9):  # type: ignore[operator]
        alices.get("/datasets/")


def test_a_sample_is_one_click_away(alices: Client) -> None:
    answer = alices.post("/datasets/samples/next-number/")
    assert answer["Location"] == Dataset.objects.get().get_absolute_url()
    assert alices.post("/datasets/samples/nothing/").status_code == 404


def test_a_dataset_is_renamed(alices: Client, alice: User, tmp_path: Path) -> None:
    dataset = make_dataset(alice, tmp_path)
    alices.post(f"{dataset.get_absolute_url()}rename/", {"name": "NUMBERS"})
    dataset.refresh_from_db()
    assert dataset.name == "NUMBERS"


def test_a_taken_name_is_refused_at_the_field(alices: Client, alice: User, tmp_path: Path) -> None:
    dataset = make_dataset(alice, tmp_path)
    make_dataset(alice, tmp_path, name="Taken")
    answer = alices.post(f"{dataset.get_absolute_url()}rename/", {"name": "taken"})
    assert answer.status_code == 422
    assert "You have a dataset named" in answer.content.decode()
    dataset.refresh_from_db()
    assert dataset.name == "numbers"


def test_deleting_asks_first_and_takes_the_file(
    alices: Client, alice: User, data_dir: Path, tmp_path: Path
) -> None:
    dataset = make_dataset(alice, tmp_path)
    address = f"{dataset.get_absolute_url()}delete/"
    assert "30 examples" in alices.get(address).content.decode()
    assert Dataset.objects.count() == 1
    answer = alices.post(address, follow=True)
    assert "is deleted" in answer.content.decode()
    assert_nothing_left(data_dir)


def test_a_dataset_that_a_job_used_stays_and_says_why(
    alices: Client, alice: User, data_dir: Path, tmp_path: Path
) -> None:
    dataset = make_dataset(alice, tmp_path)
    job_on(dataset)
    address = f"{dataset.get_absolute_url()}delete/"
    before = files_in(data_dir)
    assert "1 tuning job was made with this dataset" in alices.get(address).content.decode()
    answer = alices.post(address)
    assert answer.status_code == 422
    assert "1 tuning job was made with this dataset" in answer.content.decode()
    assert Dataset.objects.filter(pk=dataset.pk).exists()
    assert files_in(data_dir) == before
