"""The pages of tuned models: what they show, what they change, and to whom."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from accounts.models import User
from library.forms import RenameForm
from library.models import TunedModel
from tests.library.conftest import ModelMaker


def test_an_empty_library_says_what_it_is_for_and_how_to_fill_it(page: Client) -> None:
    text = page.get("/library/").content.decode()
    assert "Your tuned models will stand here" in text
    assert text.count(' href="/jobs/new/"') == 1


def test_a_card_shows_base_losses_and_line_and_leads_to_the_playground(
    page: Client, make_model: ModelMaker
) -> None:
    model = make_model()
    text = page.get("/library/").content.decode()
    assert "from tiny" in text
    assert "0.250" in text
    assert 'aria-label="Training loss from 2.000 to 0.125"' in text
    assert f"/playground/?model={model.pk}&amp;compare=1" in text


def test_the_list_is_narrowed_by_name(page: Client, make_model: ModelMaker) -> None:
    make_model("counter")
    make_model("Support")
    text = page.get("/library/", {"search": "supp"}).content.decode()
    assert "Support" in text
    assert "counter" not in text
    assert "Show all 2" in page.get("/library/", {"search": "zebra"}).content.decode()


def test_nobody_sees_the_models_of_others(page: Client, bob: User, make_model: ModelMaker) -> None:
    model = make_model("secret", owner=bob)
    assert "secret" not in page.get("/library/").content.decode()
    assert page.get(f"/library/{model.pk}/").status_code == 404
    assert page.get(f"/library/{model.pk}/delete/").status_code == 404
    assert page.post(f"/library/{model.pk}/delete/").status_code == 404
    assert page.post(f"/library/{model.pk}/rename/", {"name": "mine"}).status_code == 404
    assert page.get(f"/library/{uuid.uuid4()}/").status_code == 404
    assert TunedModel.objects.get().name == "secret"


def test_the_page_of_a_model_says_where_it_came_from(page: Client, make_model: ModelMaker) -> None:
    text = page.get(f"/library/{make_model().pk}/").content.decode()
    assert "numbers, version 2, 1,234 examples" in text
    assert "15 % of the examples" in text
    assert "2.0\xa0KB" in text
    assert "no longer here" in text  # the job that made it


def test_a_model_is_renamed(page: Client, make_model: ModelMaker) -> None:
    model = make_model()
    answer = page.post(f"/library/{model.pk}/rename/", {"name": "better"}, follow=True)
    assert "The model is now called better." in answer.content.decode()
    model.refresh_from_db()
    assert model.name == "better"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("tAken", "Another of your tuned models"), ("", "required"), ("x" * 61, "at most 60")],
)
def test_a_name_that_cannot_be_taken_says_why(
    page: Client, make_model: ModelMaker, name: str, sentence: str
) -> None:
    make_model("taken")
    model = make_model("counter")
    answer = page.post(f"/library/{model.pk}/rename/", {"name": name})
    text = answer.content.decode()
    assert answer.status_code == 422
    assert sentence in text
    assert "<h1>counter</h1>" in text
    model.refresh_from_db()
    assert model.name == "counter"


def test_a_name_that_is_taken_while_the_form_is_sent_says_why(make_model: ModelMaker) -> None:
    form = RenameForm({"name": "taken"}, instance=make_model("counter"))
    assert form.is_valid()
    make_model("taken")
    assert not form.renames()
    assert "Another of your tuned models" in form.errors["name"][0]


def test_the_case_of_a_name_may_change(page: Client, make_model: ModelMaker) -> None:
    model = make_model("counter")
    assert page.post(f"/library/{model.pk}/rename/", {"name": "Counter"}).status_code == 302


def test_a_name_of_somebody_elses_model_is_free(
    page: Client, bob: User, make_model: ModelMaker
) -> None:
    make_model("taken", owner=bob)
    model = make_model("counter")
    assert page.post(f"/library/{model.pk}/rename/", {"name": "taken"}).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_deleting_asks_first_then_removes_row_and_files(
    page: Client, make_model: ModelMaker
) -> None:
    model = make_model()
    other = make_model("other")
    asked = page.get(f"/library/{model.pk}/delete/").content.decode()
    assert "What goes, for good:" in asked
    assert model.folder.exists()
    answer = page.post(f"/library/{model.pk}/delete/", follow=True)
    assert "counter is deleted." in answer.content.decode()
    assert not model.folder.exists()
    assert other.folder.exists()
    assert TunedModel.objects.get() == other
