"""The form of a new job: every setting, what is refused and where; nothing typed is lost."""

from __future__ import annotations

import uuid
from dataclasses import fields

import pytest
from django.test import Client

from accounts.models import User
from datasets.models import Dataset
from jobs.models import Job
from library.models import BaseModel
from tests.jobs.conftest import JobMaker, form_values, rows
from tuner.settings import TuningSettings
from work.models import WorkItem


@pytest.fixture
def page(client: Client, alice: User) -> Client:
    """Alice's browser."""
    client.force_login(alice)
    return client


def test_the_form_starts_a_job_and_goes_to_its_page(
    page: Client, dataset: Dataset, tiny_base: BaseModel
) -> None:
    answer = page.post("/jobs/new/", form_values(dataset, tiny_base))
    job = Job.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/jobs/{job.pk}/")
    assert job.settings["validation_share"] == 0.15
    assert job.settings["lora_rank"] == 8


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("epochs", "many"),
        ("batch_size", 0),
        ("learning_rate_multiplier", -1),
        ("learning_rate_multiplier", "abc"),
        ("learning_rate_multiplier", "nan"),
        ("learning_rate_multiplier", "inf"),
        ("adapter_size", 0),
        ("adapter_size", 257),
        ("batch_size", 1025),
        ("learning_rate", 2),
        ("schedule", "square"),
        ("method", "magic"),
        ("max_length_tokens", 1),
        ("lora_layers", ","),
        ("dataset_weight", 0),
        ("validation_share", 0.9),
        ("early_stopping_patience", 0),
        ("tuned_model_name", ""),
        ("tuned_model_name", "x" * 61),
        ("base_model", uuid.UUID(int=0)),
        ("dataset", uuid.UUID(int=0)),
        ("warmup_share", 2),
    ],
)
def test_a_bad_value_is_refused_at_its_field_and_nothing_starts(
    page: Client, dataset: Dataset, tiny_base: BaseModel, field: str, value: object
) -> None:
    answer = page.post("/jobs/new/", form_values(dataset, tiny_base, **{field: value}))
    assert answer.status_code == 422
    form = answer.context["form"]
    assert form.errors.get(field) or form.non_field_errors()
    assert 'role="alert"' in answer.content.decode()
    assert not Job.objects.exists()
    assert not WorkItem.objects.filter(kind="tuning").exists()


def test_someone_elses_dataset_cannot_be_tuned_on(
    client: Client, bob: User, dataset: Dataset, tiny_base: BaseModel
) -> None:
    client.force_login(bob)
    assert client.post("/jobs/new/", form_values(dataset, tiny_base)).status_code == 422
    assert client.get(f"/jobs/new/?dataset={dataset.pk}").status_code == 404


def test_the_card_counts_steps_and_says_when_it_knows_no_time(
    page: Client, dataset: Dataset, tiny_base: BaseModel
) -> None:
    answer = page.post("/jobs/estimate/", form_values(dataset, tiny_base)).content.decode()
    assert "Ready to start" in answer
    assert '<dd class="number">34</dd>' in answer
    assert '<dd class="number">45</dd>' in answer
    assert "unknown yet" in answer


def test_the_card_says_what_is_missing(
    page: Client, dataset: Dataset, tiny_base: BaseModel
) -> None:
    values = form_values(dataset, tiny_base, tuned_model_name="", epochs="")
    answer = page.post("/jobs/estimate/", values).content.decode()
    assert "Before it can start" in answer
    assert "Tuned model name: This field is required." in answer
    assert "Epochs: This field is required." in answer


def test_a_job_like_another_begins_with_its_settings(page: Client, make_job: JobMaker) -> None:
    job = make_job(epochs=3, batch_size=2, lora_rank=4)
    form = page.get(f"/jobs/new/?like={job.pk}").context["form"]
    chosen = [form[name].value() for name in ("epochs", "batch_size", "adapter_size")]
    assert chosen == [3, 2, 4]
    assert form["tuned_model_name"].value() == "numbers"


EVERY_SETTING = {
    "method": "lora",
    "epochs": 3,
    "max_steps": 7,
    "batch_size": 2,
    "learning_rate": 0.002,
    "learning_rate_multiplier": 1.0,
    "lora_rank": 100,
    "lora_alpha": 50,
    "lora_dropout": 0.1,
    "lora_layers": "up_proj, o_proj",
    "use_rslora": True,
    "use_dora": True,
    "trained_on": "last answer",
    "validation_share": 0.2,
    "replay_share": 0.0,
    "seed": 11,
    "max_length_tokens": 512,
    "over_length": "truncate",
    "schedule": "cosine",
    "warmup_share": 0.1,
    "weight_decay": 0.01,
    "gradient_clip_norm": 0.5,
    "precision": "float32",
    "activation_checkpointing": "on",
    "micro_batch_tokens": 256,
    "evaluate_every_steps": 5,
    "early_stopping_patience": 3,
    "early_stopping_minimum_change": 0.01,
    "checkpoints_kept": 4,
    "final_model": "last",
}


def as_typed(settings: dict[str, object]) -> dict[str, object]:
    """Settings under the names of their fields."""
    return {("adapter_size" if name == "lora_rank" else name): it for name, it in settings.items()}


def test_the_form_gives_every_setting_of_the_engine(
    page: Client, dataset: Dataset, tiny_base: BaseModel
) -> None:
    assert set(EVERY_SETTING) == {setting.name for setting in fields(TuningSettings)}
    page.post("/jobs/new/", form_values(dataset, tiny_base, **as_typed(EVERY_SETTING)))
    assert Job.objects.get().settings == EVERY_SETTING
    html = page.get("/jobs/new/").content.decode()
    assert all(f'name="{name}"' in html for name in as_typed(EVERY_SETTING))


def test_an_untouched_form_asks_for_the_engines_defaults(
    page: Client, dataset: Dataset, tiny_base: BaseModel
) -> None:
    form = page.get("/jobs/new/").context["form"]
    typed = {name: form[name].value() for name in form.fields if form[name].value() is not None}
    page.post("/jobs/new/", {**typed, "dataset": dataset.pk, "tuned_model_name": "counter"})
    assert Job.objects.get().tuning_settings == TuningSettings(validation_share=0.15)


def test_auto_is_resolved_by_the_number_of_examples_and_shown(
    page: Client, dataset: Dataset, tiny_base: BaseModel
) -> None:
    auto = dict.fromkeys(("epochs", "batch_size", "learning_rate_multiplier"), "auto")
    answer = page.post("/jobs/estimate/", form_values(dataset, tiny_base, **auto))
    html = answer.content.decode()
    assert "Auto: 4 for 34 examples" in html
    page.post("/jobs/new/", form_values(dataset, tiny_base, **auto))
    job = Job.objects.get()
    chosen = [job.settings[name] for name in auto]
    assert chosen == [4, 2, 0.7]
    assert job.automatic == list(auto)
    assert "(auto)" in page.get(f"/jobs/{job.pk}/").content.decode()
    again = page.get(f"/jobs/new/?like={job.pk}").context["form"]
    assert [again[name].value() for name in auto] == ["auto"] * 3


def test_a_learning_rate_and_a_multiplier_are_refused_together(
    page: Client, dataset: Dataset, tiny_base: BaseModel
) -> None:
    both = {"learning_rate": 0.001, "learning_rate_multiplier": 2}
    answer = page.post("/jobs/new/", form_values(dataset, tiny_base, **both))
    assert answer.status_code == 422
    assert "not both" in answer.context["form"].errors["learning_rate"][0]


def test_the_default_learning_rate_follows_the_method(
    page: Client, dataset: Dataset, tiny_base: BaseModel
) -> None:
    def said(**chosen: object) -> str:
        values = form_values(dataset, tiny_base, **chosen)
        return page.post("/jobs/estimate/", values).content.decode()

    assert "LoRA default 0.001" in said()
    assert "Full default 0.0001" in said(method="full")
    assert "data-learning-rate>0.0005<" in said(learning_rate_multiplier=0.5)


def test_the_form_says_which_path_the_job_takes(
    page: Client, dataset: Dataset, tiny_base: BaseModel
) -> None:
    tiny_base.facts = {"family": "llama"}
    tiny_base.save()
    assert "tiny (llama) takes the fast path" in page.get("/jobs/new/").content.decode()
    values = form_values(dataset, tiny_base, use_dora="on")
    assert "takes the plain path" in page.post("/jobs/estimate/", values).content.decode()
    tiny_base.facts = {"family": "gpt2"}
    tiny_base.save()
    assert "tiny (gpt2) takes the plain path" in page.get("/jobs/new/").content.decode()


def test_nothing_typed_is_lost_when_something_is_wrong(
    page: Client, dataset: Dataset, other: Dataset, tiny_base: BaseModel
) -> None:
    typed = as_typed(EVERY_SETTING) | rows((other, 2.5)) | {"epochs": "many"}
    answer = page.post("/jobs/new/", form_values(dataset, tiny_base, **typed))
    assert answer.status_code == 422
    form = answer.context["form"]
    shown = {name: str(form[name].value()) for name in as_typed(EVERY_SETTING)}
    assert shown == {name: str(typed[name]) for name in shown}
    assert form.rows.forms[0]["weight"].value() == "2.5"
    assert str(form.rows.forms[0]["dataset"].value()) == str(other.pk)


def test_each_mistake_has_a_link_to_its_field(
    page: Client, dataset: Dataset, other: Dataset, tiny_base: BaseModel
) -> None:
    typed = {**rows((other, -1)), "warmup_share": 3}
    html = page.post("/jobs/new/", form_values(dataset, tiny_base, **typed)).content.decode()
    assert '<a href="#id_warmup_share">Warm-up share: ' in html
    assert '<a href="#id_more-0-weight">More data, row 1, Weight: ' in html
    assert 'id="id_warmup_share_error"' in html


def test_a_changed_setting_opens_its_fold_and_is_counted(page: Client, make_job: JobMaker) -> None:
    job = make_job(lora_dropout=0.1, lora_alpha=4, schedule="cosine", validation_share=0.15)
    form = page.get(f"/jobs/new/?like={job.pk}").context["form"]
    counts = {fold.slug: fold.changed_count for fold in form.folds() if fold.is_open}
    assert counts == {"adapter": 2, "learning-rate": 1}


def test_the_page_of_a_job_shows_what_is_unusual_first(page: Client, make_job: JobMaker) -> None:
    job = make_job(schedule="cosine", validation_share=0.15)
    html = page.get(f"/jobs/{job.pk}/").content.decode()
    shown, folded = html.split("All other settings")
    assert "<dd>Cosine</dd>" in shown
    assert "<dt>Weight decay</dt>" in folded
