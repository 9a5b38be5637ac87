"""Putting base models on the shelf: what stands there is what was asked for, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from library import shelf
from library.models import BaseModel
from tuner.convert import check_base_model
from work import runner
from work.models import WorkItem
from work.status import Status


@pytest.mark.django_db
def test_a_left_over_folder_of_the_same_name_is_not_taken_for_the_model(data_dir: Path) -> None:
    for name in ("small", ".small.3", "..small.3.partial", ".small.er.3"):
        (data_dir / "models" / name).mkdir(parents=True)
        (data_dir / "models" / name / "config.json").write_text("{}")
    base = shelf.add_base_model("tiny", "small")
    assert runner.run_item(base.work).status == Status.SUCCEEDED
    assert check_base_model(base.folder).family == "llama"
    assert {path.name for path in (data_dir / "models").iterdir()} == {"small", ".small.er.3"}


@pytest.mark.django_db
def test_a_later_try_keeps_what_an_earlier_one_moved_into_place(tiny_base: BaseModel) -> None:
    mark = tiny_base.folder / "mark"
    mark.touch()
    WorkItem.objects.update(status=Status.QUEUED, token=1)
    assert runner.run_item(tiny_base.work).status == Status.SUCCEEDED
    assert mark.exists()


@pytest.mark.django_db
def test_a_folder_cannot_be_the_source_of_the_model_that_would_replace_it(
    tiny_base: BaseModel, data_dir: Path
) -> None:
    folder = tiny_base.folder.rename(data_dir / "models" / "found")
    with pytest.raises(shelf.ShelfError, match="Choose another name"):
        shelf.add_base_model(str(folder))
    assert check_base_model(folder)


@pytest.mark.django_db(transaction=True)
def test_a_model_that_fails_on_the_command_line_leaves_nothing(
    data_dir: Path, tmp_path: Path, running_broker: str
) -> None:
    gguf = tmp_path / "broken.gguf"
    gguf.write_bytes(b"no model")
    with pytest.raises(CommandError):
        call_command("add_base_model", str(gguf))
    assert not BaseModel.objects.exists()
    assert not WorkItem.objects.exists()
    assert list((data_dir / "tmp").iterdir()) == []


@pytest.mark.django_db(transaction=True)
def test_ctrl_c_on_the_command_line_leaves_nothing(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, running_broker: str
) -> None:
    def press_ctrl_c(folder: Path) -> None:
        folder.mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr("library.sources.make_tiny_model", press_ctrl_c)
    with pytest.raises(CommandError, match="Stopped; nothing was kept"):
        call_command("add_base_model", "tiny")
    assert not BaseModel.objects.exists()
    assert not WorkItem.objects.exists()
    assert list((data_dir / "models").iterdir()) == []
    assert list((data_dir / "tmp").iterdir()) == []


@pytest.mark.django_db
def test_the_studios_own_model_is_added_to_an_empty_shelf_alone(
    tiny_base: BaseModel, settings: Settings
) -> None:
    shelf.add_default_base_model()
    assert BaseModel.objects.get() == tiny_base
    tiny_base.delete()
    shelf.add_default_base_model()
    assert BaseModel.objects.get().name == settings.DEFAULT_BASE_MODEL
