"""Several datasets in one job: mixed by weight, with replayed conversations, split before."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from django.test import Client

from accounts.models import User
from datasets.models import Dataset
from jobs.data_parts import Part, counts, examples_of
from jobs.launch import LaunchError, Order, launch
from jobs.models import Job
from library.models import BaseModel
from tests.jobs.conftest import JobMaker, form_values, rows, run
from tuner.settings import TuningSettings
from work.status import Status


@pytest.fixture
def page(client: Client, alice: User) -> Client:
    """Alice's browser."""
    client.force_login(alice)
    return client


@pytest.fixture
def order(alice: User, dataset: Dataset, tiny_base: BaseModel) -> Order:
    return Order(
        owner=alice,
        version=dataset.current,
        base_model=tiny_base,
        tuned_model_name="counter",
        settings=TuningSettings(validation_share=0.1),
    )


def test_weights_and_shares_count_as_they_will_be_trained(
    dataset: Dataset, other: Dataset, make_job: JobMaker
) -> None:
    parts = (Part(version=other.current, weight=2.0),)
    job = make_job(order={"dataset_weight": 0.5, "more": parts})
    training, held_out = examples_of(job)
    assert (len(training), len(held_out)) == (18 + 36, 4 + 2)
    assert counts([Part(version=dataset.current, weight=0.5), *parts], job.tuning_settings) == (
        54,
        6,
    )
    assert job.total_steps == 2 * 14


def test_nothing_that_is_held_out_is_trained_on(other: Dataset, make_job: JobMaker) -> None:
    job = make_job(order={"more": (Part(version=other.current, weight=3.0),)})
    training, held_out = examples_of(job)
    prompts = {example.prompt_text for example in held_out}
    assert len(prompts) == 6
    assert not prompts & {example.prompt_text for example in training}


def test_replayed_conversations_are_their_share_and_are_never_held_out(
    other: Dataset, make_job: JobMaker
) -> None:
    replay = Part(version=other.current, is_replay=True)
    job = make_job(replay_share=0.25, order={"more": (replay,)})
    training, held_out = examples_of(job)
    asked = [example.prompt_text for example in training]
    assert sum(prompt.startswith("say") for prompt in asked) == 12
    assert len(asked) == 48
    assert not [example for example in held_out if example.prompt_text.startswith("say")]


def test_one_dataset_alone_is_tuned_in_its_own_order(dataset: Dataset, make_job: JobMaker) -> None:
    training, _ = examples_of(make_job(validation_share=0.0))
    assert list(training) == dataset.current.examples()


def test_a_job_on_a_mixture_runs_and_its_model_says_so(
    page: Client, dataset: Dataset, other: Dataset, tiny_base: BaseModel
) -> None:
    chosen = {
        **rows((other, 0.5)),
        "replay_dataset": "general-chat",
        "replay_share": 0.2,
        "epochs": 1,
    }
    answer = page.post("/jobs/new/", form_values(dataset, tiny_base, **chosen))
    assert answer.status_code == 302
    job = run(Job.objects.get())
    assert job.work.status == Status.SUCCEEDED, job.work.error
    assert job.tuned_model is not None
    parts = job.tuned_model.provenance["datasets"]
    used = [(part["name"], part["weight"], part["is_replay"]) for part in parts]
    assert used == [("numbers", 1.0, False), ("others", 0.5, False), ("General chat", 1.0, True)]
    html = page.get(f"/jobs/{job.pk}/").content.decode()
    assert "others, version 1</a>, weight 0.5" in html
    assert "20 % of all that is trained on" in html
    form = page.get(f"/jobs/new/?like={job.pk}").context["form"]
    assert form.rows.forms[0]["weight"].value() == 0.5
    assert form["replay_dataset"].value() == Dataset.objects.get(name="General chat").pk
    assert "General chat" in page.get(f"/library/{job.tuned_model.pk}/").content.decode()


def test_a_share_without_conversations_and_conversations_without_a_share_are_refused(
    order: Order, other: Dataset
) -> None:
    replay = Part(version=other.current, is_replay=True)
    with pytest.raises(LaunchError) as refusal:
        launch(replace(order, more=(replay,)))
    assert refusal.value.field == "replay_share"
    with pytest.raises(LaunchError) as refusal:
        launch(replace(order, settings=TuningSettings(replay_share=0.1)))
    assert refusal.value.field == "replay_dataset"


def test_a_dataset_is_chosen_once(order: Order, other: Dataset) -> None:
    again = Part(version=order.version)
    with pytest.raises(LaunchError, match="numbers is chosen twice"):
        launch(replace(order, more=(again,)))
    with pytest.raises(LaunchError, match="validation dataset is a training dataset"):
        launch(
            replace(order, more=(Part(version=other.current),), validation_version=other.current)
        )


def test_the_same_form_with_another_weight_is_another_job(order: Order, other: Dataset) -> None:
    order = replace(order, request_id=uuid.uuid4())
    first = launch(replace(order, more=(Part(version=other.current),)))
    assert launch(replace(order, more=(Part(version=other.current),))) == first
    heavier = replace(
        order, more=(Part(version=other.current, weight=2.0),), tuned_model_name="counter 2"
    )
    assert launch(heavier) != first


def test_another_row_can_be_asked_for_without_scripts(
    page: Client, dataset: Dataset, other: Dataset, tiny_base: BaseModel
) -> None:
    values = form_values(dataset, tiny_base, **rows((other, 2)), epochs=7, add_row="1")
    answer = page.post("/jobs/new/", values)
    form = answer.context["form"]
    assert (answer.status_code, len(form.rows.forms)) == (200, 2)
    assert form["epochs"].value() == "7"
    assert 'role="alert"' not in answer.content.decode()
    assert not Job.objects.exists()


def test_a_dataset_that_was_mixed_in_stays_while_its_job_does(
    other: Dataset, make_job: JobMaker
) -> None:
    make_job(order={"more": (Part(version=other.current),)})
    assert len(other.uses()) == 1


def test_someone_elses_dataset_cannot_be_mixed_in(
    client: Client, bob: User, dataset: Dataset, other: Dataset, tiny_base: BaseModel
) -> None:
    client.force_login(bob)
    answer = client.post("/jobs/new/", form_values(dataset, tiny_base, **rows((other, 1))))
    assert answer.status_code == 422
    assert answer.context["form"].rows.forms[0].errors["dataset"]


def test_too_many_rows_and_rows_that_are_no_rows_are_refused_in_words(
    page: Client, dataset: Dataset, other: Dataset, tiny_base: BaseModel
) -> None:
    for count, words in ((21, "at most 20 more datasets"), ("many", "did not arrive")):
        values = form_values(dataset, tiny_base, **rows((other, 1)) | {"more-TOTAL_FORMS": count})
        answer = page.post("/jobs/new/", values)
        assert answer.status_code == 422
        assert words in answer.content.decode()
