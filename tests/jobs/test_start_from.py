"""Jobs that go on from a tuned model: its adapter, a stack on it, or a whole model."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.test import Client

from accounts.models import User
from datasets.models import Dataset
from jobs.launch import LaunchError, Order, launch
from jobs.models import Job
from library import removal, server
from library.models import BaseModel, TunedModel
from tests.jobs.conftest import JobMaker, form_values, run
from tuner.settings import TuningSettings
from work.models import WorkItem
from work.status import Status


@pytest.fixture
def page(client: Client, alice: User) -> Client:
    """Alice's browser."""
    client.force_login(alice)
    return client


def made(job: Job) -> TunedModel:
    """Run the job; its model."""
    job = run(job)
    assert job.work.status == Status.SUCCEEDED, job.work.error
    assert job.tuned_model is not None
    return job.tuned_model


def going_on(start: TunedModel, mode: str = "continue") -> dict[str, object]:
    return {"start_from": start, "start_mode": mode}


@pytest.fixture
def adapter(make_job: JobMaker) -> TunedModel:
    """A tuned adapter of size 4."""
    return made(make_job("first", epochs=1, lora_rank=4))


def test_an_adapter_is_tuned_on_and_begins_where_it_was(
    make_job: JobMaker, adapter: TunedModel
) -> None:
    job = run(make_job("second", epochs=1, lora_rank=4, order=going_on(adapter)))
    assert job.work.status == Status.SUCCEEDED, job.work.error
    assert job.tuned_model is not None
    assert job.tuned_model.adapter_size == 4
    first = Job.objects.get(tuned_model=adapter).points.get(name="train/loss", step=1)
    assert job.points.get(name="train/loss", step=1).value < first.value
    assert job.tuned_model.provenance["start_from"] == "first"


def test_a_stack_is_one_adapter_of_both_sizes(make_job: JobMaker, adapter: TunedModel) -> None:
    job = make_job("second", epochs=1, lora_rank=2, order=going_on(adapter, "stack"))
    model = made(job)
    assert (model.adapter_size, model.whole_base) == (6, None)
    assert server.folders_of(model)["base"] == str(model.base.folder)


def test_full_tuning_makes_a_whole_model_that_is_asked_by_its_own_folder(
    page: Client, make_job: JobMaker
) -> None:
    model = made(make_job("whole", epochs=1, method="full"))
    assert model.is_whole
    assert (model.folder / "config.json").is_file()
    assert not (model.folder / "adapter_config.json").exists()
    assert server.folders_of(model) == {"base": str(model.folder), "adapter": None}
    html = page.get(f"/library/{model.pk}/").content.decode()
    assert "whole model: all weights, no adapter" in html
    assert "Adapter size" not in html
    assert "whole model, from tiny" in page.get("/library/").content.decode()
    assert "its weights" in page.get(f"/library/{model.pk}/delete/").content.decode()


def test_a_whole_model_is_what_an_adapter_on_it_stands_on(page: Client, make_job: JobMaker) -> None:
    whole = made(make_job("whole", epochs=1, method="full"))
    model = made(make_job("on top", epochs=1, order={"start_from": whole}))
    assert model.whole_base == whole
    assert server.folders_of(model) == {"base": str(whole.folder), "adapter": str(model.folder)}
    answer = page.post(f"/library/{whole.pk}/delete/", follow=True).content.decode()
    assert "on top" in answer
    assert whole.folder.is_dir()
    page.post(f"/library/{model.pk}/delete/")
    page.post(f"/library/{whole.pk}/delete/")
    assert not TunedModel.objects.exists()


def test_a_whole_model_is_tuned_in_full_again(make_job: JobMaker) -> None:
    whole = made(make_job("whole", epochs=1, method="full"))
    again = made(make_job("again", epochs=1, method="full", order={"start_from": whole}))
    assert (again.is_whole, again.whole_base) == (True, None)
    first, second = (
        model.job.points.get(name="train/loss", step=1).value for model in (whole, again)
    )
    assert second < first


def test_a_job_whose_starting_model_was_deleted_fails_with_a_sentence(
    make_job: JobMaker, adapter: TunedModel
) -> None:
    job = make_job("second", lora_rank=4, order=going_on(adapter))
    with pytest.raises(removal.InUseError, match="second starts from first"):
        removal.delete_tuned_model(adapter)
    WorkItem.objects.filter(pk=job.work_id).update(status=Status.CANCELLED)
    removal.delete_tuned_model(adapter)
    WorkItem.objects.filter(pk=job.work_id).update(status=Status.QUEUED)
    job = run(Job.objects.for_pages().get(pk=job.pk))
    assert job.work.status == Status.FAILED
    assert "first, which this job starts from, was deleted" in job.work.error


@pytest.mark.parametrize(
    ("mode", "chosen", "field", "words"),
    [
        ("continue", {"lora_rank": 8}, "adapter_size", "has size 4"),
        ("continue", {"lora_rank": 4, "use_dora": True}, "use_dora", "without DoRA"),
        ("continue", {"method": "full"}, "method", "is an adapter"),
        ("stack", {"use_dora": True}, "start_mode", "DoRA"),
    ],
)
def test_what_does_not_fit_the_starting_model_is_refused_at_its_field(
    make_job: JobMaker,
    adapter: TunedModel,
    mode: str,
    chosen: dict[str, object],
    field: str,
    words: str,
) -> None:
    with pytest.raises(LaunchError, match=words) as refusal:
        make_job("second", order=going_on(adapter, mode), **chosen)
    assert refusal.value.field == field


def test_another_base_model_than_the_starting_models_is_refused(
    make_job: JobMaker, adapter: TunedModel, dataset: Dataset, alice: User
) -> None:
    work = WorkItem.objects.create(kind="base model", queue="cpu", status=Status.SUCCEEDED)
    stranger = BaseModel.objects.create(name="stranger", source="tiny", work=work)
    order = Order(
        owner=alice,
        version=dataset.current,
        base_model=stranger,
        tuned_model_name="second",
        settings=TuningSettings(lora_rank=4),
        start_from=adapter,
        start_mode="continue",
    )
    with pytest.raises(LaunchError, match="was tuned from tiny") as refusal:
        launch(order)
    assert refusal.value.field == "base_model"
    assert launch(replace(order, base_model=adapter.base)).start_from == adapter


def test_the_form_begins_with_what_the_starting_model_asks_for(
    page: Client, adapter: TunedModel, dataset: Dataset, tiny_base: BaseModel
) -> None:
    form = page.get(f"/jobs/new/?start_from={adapter.pk}").context["form"]
    chosen = [str(form[name].value()) for name in ("start_from", "base_model", "adapter_size")]
    assert chosen == [str(adapter.pk), str(tiny_base.pk), "4"]
    values = form_values(
        dataset, tiny_base, start_from=adapter.pk, adapter_size=4, tuned_model_name="second"
    )
    page.post("/jobs/new/", values)
    job = Job.objects.get(tuned_model_name="second")
    assert (job.start_from, job.start_mode) == (adapter, "continue")
    again = page.get(f"/jobs/new/?like={job.pk}").context["form"]
    assert str(again["start_from"].value()) == str(adapter.pk)


def test_someone_elses_model_cannot_be_started_from(
    client: Client, bob: User, adapter: TunedModel, dataset: Dataset, tiny_base: BaseModel
) -> None:
    client.force_login(bob)
    assert client.get(f"/jobs/new/?start_from={adapter.pk}").status_code == 404
    answer = client.post("/jobs/new/", form_values(dataset, tiny_base, start_from=adapter.pk))
    assert answer.context["form"].errors["start_from"]
