"""The page of base models: everybody sees them, staff adds and removes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from library.models import BaseModel
from tests.library.conftest import ModelMaker
from work.models import Worker, WorkItem
from work.status import Status

PATH = "/library/base-models/"


@pytest.fixture
def failed(db: None) -> BaseModel:
    """A model that could not be fetched."""
    work = WorkItem.objects.create(
        kind="base model", queue="cpu", status=Status.FAILED, error="There is no such model."
    )
    return BaseModel.objects.create(name="lost", source="someone/lost", work=work)


def test_everybody_sees_state_and_facts(page: Client, tiny_base: BaseModel) -> None:
    tiny_base.facts = {"family": "llama", "parameters": 134_515_008, "size_bytes": 1024}
    tiny_base.save()
    text = page.get(PATH).content.decode()
    assert "Ready" in text
    assert "135 M" in text
    assert "only the staff" in text
    assert "Add base model" not in text


def test_only_staff_changes_base_models(page: Client, failed: BaseModel) -> None:
    assert page.post(PATH, {"source": "tiny"}).status_code == 403
    for verb in ("retry", "cancel", "delete"):
        assert page.post(f"{PATH}{failed.pk}/{verb}/").status_code == 403
    assert BaseModel.objects.get().work.status == Status.FAILED


def test_adding_a_model_queues_its_preparation(staff_page: Client) -> None:
    answer = staff_page.post(PATH, {"source": "tiny", "name": "small"}, follow=True)
    base = BaseModel.objects.get()
    assert (base.name, base.work.status) == ("small", Status.QUEUED)
    text = answer.content.decode()
    assert "small is being prepared." in text
    assert f'hx-get="{PATH}{base.pk}/" hx-trigger="every 2s"' in text
    assert "No helper worker is running" in text


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"source": ""}, "required"),
        ({"source": "not a source"}, "is not a Hugging Face id"),
        ({"source": "/nowhere/at/all"}, "There is nothing at /nowhere/at/all"),
        ({"source": "tiny", "name": "Not A Slug"}, "cannot be a model"),
        ({"source": "tiny", "name": "tiny"}, "already"),
    ],
)
def test_a_source_that_cannot_be_used_says_why(
    staff_page: Client, tiny_base: BaseModel, values: dict[str, str], sentence: str
) -> None:
    answer = staff_page.post(PATH, values, headers={"hx-request": "true"})
    text = answer.content.decode()
    assert answer.status_code == 422
    assert sentence in text
    assert text.lstrip().startswith('<form class="card stack" id="add-base-model"')
    assert BaseModel.objects.get() == tiny_base


def test_a_running_preparation_shows_phase_and_progress(page: Client, tiny_base: BaseModel) -> None:
    WorkItem.objects.update(status=Status.RUNNING, phase="downloading", progress=0.42)
    text = page.get(f"{PATH}{tiny_base.pk}/").content.decode()
    assert "Downloading, 42 %" in text
    assert 'value="0.42"' in text


def test_a_failed_preparation_says_why_and_is_tried_again(
    staff_page: Client, failed: BaseModel
) -> None:
    assert "There is no such model." in staff_page.get(PATH).content.decode()
    answer = staff_page.post(f"{PATH}{failed.pk}/retry/", headers={"hx-request": "true"})
    failed.work.refresh_from_db()
    assert failed.work.status == Status.QUEUED
    assert f'id="base-{failed.pk}"' in answer.content.decode()


def test_a_waiting_preparation_is_cancelled(staff_page: Client, failed: BaseModel) -> None:
    failed.work.requeue()
    assert staff_page.post(f"{PATH}{failed.pk}/cancel/").status_code == 302
    failed.work.refresh_from_db()
    assert failed.work.status == Status.CANCELLED


def test_a_living_worker_is_not_reported_missing(staff_page: Client, failed: BaseModel) -> None:
    failed.work.requeue()
    Worker.beat("cpu@here", "cpu")
    assert "Waiting for the helper worker" in staff_page.get(PATH).content.decode()


@pytest.mark.django_db(transaction=True)
def test_deleting_removes_row_work_and_files(
    staff_page: Client, tiny_base: BaseModel, data_dir: Path
) -> None:
    assert "What goes:" in staff_page.get(f"{PATH}{tiny_base.pk}/delete/").content.decode()
    answer = staff_page.post(f"{PATH}{tiny_base.pk}/delete/", follow=True)
    assert "tiny is deleted." in answer.content.decode()
    assert not BaseModel.objects.exists()
    assert not WorkItem.objects.exists()
    assert not (data_dir / "models" / "tiny").exists()


@pytest.mark.django_db(transaction=True)
def test_a_model_that_was_tuned_from_stays(
    staff_page: Client, tiny_base: BaseModel, make_model: ModelMaker
) -> None:
    make_model()
    answer = staff_page.post(f"{PATH}{tiny_base.pk}/delete/", follow=True)
    assert "so it stays" in answer.content.decode()
    assert tiny_base.folder.exists()


def test_a_model_in_preparation_is_not_deleted(staff_page: Client, failed: BaseModel) -> None:
    failed.work.requeue()
    answer = staff_page.post(f"{PATH}{failed.pk}/delete/", follow=True)
    assert "Cancel that first" in answer.content.decode()
    assert BaseModel.objects.get() == failed
