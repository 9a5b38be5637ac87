"""The playground's page: whom one may ask, and how it works without a script."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from jobs.models import Job
from library.models import BaseModel, TunedModel
from playground.forms import PromptForm
from playground.models_to_ask import Groups
from tests.jobs.conftest import JobMaker, claimed, dataset, make_job  # noqa: F401
from tests.playground.conftest import ALL_OF_IT
from tests.serving.server import Server


@pytest.fixture
def page(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def options_of(page: str) -> list[tuple[str, list[str]]]:
    """The groups of the select and the names in each."""
    groups = re.findall(r'<optgroup label="([^"]*)">(.*?)</optgroup>', page, re.S)
    return [
        (label, [name.strip() for name in re.findall(r">([^<]+)</option>", options)])
        for label, options in groups
    ]


def test_line_ends_are_read_as_they_were_typed(tiny_base: BaseModel) -> None:
    groups: Groups = [("Base models", [tiny_base])]
    sent = {**ALL_OF_IT, "model": str(tiny_base.pk), "prompt": "a\r\nb\r\n", "history": "[]"}
    form = PromptForm({**sent, "system_prompt": "Be\r\nbrief."}, groups=groups)
    assert form.is_valid(), form.errors
    assert form.cleaned_data["prompt"] == "a\nb\n"
    assert [turn.content for turn in form.system_messages()] == ["Be\nbrief."]


def test_own_tuned_models_come_first_under_their_base(page: Client, tuned: TunedModel) -> None:
    shown = page.get("/playground/").content.decode()
    assert options_of(shown) == [("Tuned from tiny", ["counter"]), ("Base models", ["tiny"])]
    assert '<label for="id_model">Model</label>' in shown
    assert '<label for="id_prompt">Prompt</label>' in shown
    assert "Compare with its base" in shown


def test_the_address_chooses_the_model_and_the_comparison(page: Client, tuned: TunedModel) -> None:
    form = page.get(f"/playground/?model={tuned.base.pk}&compare=1").context["form"]
    assert form["model"].value() == str(tuned.base.pk)
    assert form["compare"].value() is True
    assert page.get("/playground/").context["form"]["model"].value() == str(tuned.pk)


@pytest.mark.parametrize("model", ["nonsense", str(uuid.uuid4())])
def test_a_model_that_is_not_there_is_a_404(page: Client, tiny_base: BaseModel, model: str) -> None:
    assert page.get(f"/playground/?model={model}").status_code == 404


def test_a_stranger_neither_sees_nor_chooses_someone_elses_model(
    client: Client, bob: User, tuned: TunedModel
) -> None:
    assert client.get("/playground/").status_code == 302
    client.force_login(bob)
    assert client.get(f"/playground/?model={tuned.pk}").status_code == 404
    shown = client.get("/playground/").content.decode()
    assert options_of(shown) == [("Base models", ["tiny"])]
    assert "You have no tuned model yet" in shown
    refused = client.post("/playground/", asked(tuned))
    assert refused.status_code == 422


def test_without_any_model_the_page_says_what_to_do(page: Client) -> None:
    shown = page.get("/playground/").content.decode()
    assert "No model is ready yet" in shown
    assert "<textarea" not in shown


def test_the_page_says_when_a_job_is_tuning(
    page: Client,
    tuned: TunedModel,
    make_job: JobMaker,  # noqa: F811
) -> None:
    job: Job = make_job("busy")
    assert "A job is tuning" not in page.get("/playground/").content.decode()
    claimed(job)
    assert "A job is tuning" in page.get("/playground/").content.decode()


def asked(model: TunedModel | BaseModel, prompt: str = "hi", /, **changed: Any) -> dict[str, Any]:
    """What the form sends without a script."""
    return {**ALL_OF_IT, "model": str(model.pk), "prompt": prompt, "history": "", **changed}


def test_without_a_script_the_page_answers_side_by_side_and_goes_on(
    serving: Server, page: Client, tuned: TunedModel
) -> None:
    first = page.post("/playground/", asked(tuned, compare="on"))
    (exchange,) = first.context["exchanges"]
    assert [answer.name for answer in exchange.answers] == ["tiny", "counter"]
    assert exchange.answers[0].text == serving.answer("tiny", max_tokens=24)
    assert exchange.answers[1].text == serving.answer(str(tuned.pk), max_tokens=24)
    assert "Cut off at max tokens · 24 tokens" in first.content.decode()

    history = first.context["form"]["history"].value()
    second = page.post("/playground/", asked(tuned, "more", history=history))
    assert [exchange.prompt for exchange in second.context["exchanges"]] == ["hi", "more"]
    fresh = page.post("/playground/", asked(tuned, "more"))
    assert answers(second)[-1] != answers(fresh)[-1]  # it remembers what was said before


def answers(response: Any) -> list[str]:
    return [a.text for exchange in response.context["exchanges"] for a in exchange.answers]


@pytest.mark.parametrize(
    ("field", "value"),
    [("prompt", " "), ("temperature", "hot"), ("model", "nonsense"), ("history", '[{"a": 1}]')],
)
def test_a_bad_value_is_refused_at_its_field(
    page: Client, tuned: TunedModel, field: str, value: str
) -> None:
    refused = page.post("/playground/", asked(tuned, **{field: value}))
    assert refused.status_code == 422
    assert refused.context["form"].errors[field]
