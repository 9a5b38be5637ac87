"""Columns with other names: a person says which is the prompt and which the answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import User
from datasets.models import Dataset, Upload
from datasets.shapes import flatten, guess_mapping
from tests.datasets.making import assert_nothing_left, files_in, make_dataset, turns

TABLE = "id,customer question,our reply\n" + "".join(
    f"{n},question {n},reply {n}\n" for n in range(25)
)


@pytest.fixture
def alices(alice: User, data_dir: Path, client: Client) -> Client:
    """Alice's browser."""
    client.force_login(alice)
    return client


@pytest.fixture
def waiting(alices: Client) -> Upload:
    """A file whose columns are not known."""
    file = SimpleUploadedFile("support.csv", TABLE.encode())
    answer = alices.post("/datasets/new/", {"name": "support", "file": file})
    upload = Upload.objects.get()
    assert answer["Location"] == f"/datasets/uploads/{upload.pk}/"
    return upload


def test_the_page_shows_rows_a_guess_and_what_it_gives(alices: Client, waiting: Upload) -> None:
    page = alices.get(waiting.get_absolute_url()).content.decode()
    for words in ("Prompt column", "Answer column", "Save mapping", "question 3", "reply 3"):
        assert words in page
    assert '<option value="customer question" selected>' in page
    assert '<option value="our reply" selected>' in page
    assert Dataset.objects.count() == 0


def test_the_saved_mapping_becomes_a_dataset_and_the_file_goes(
    alices: Client, waiting: Upload, data_dir: Path
) -> None:
    chosen = {"prompt_column": "our reply", "answer_column": "id", "name": "other name"}
    answer = alices.post(waiting.get_absolute_url(), chosen)
    dataset = Dataset.objects.get()
    assert answer["Location"] == dataset.get_absolute_url()
    assert turns(dataset)[3] == [("user", "reply 3"), ("assistant", "3")]
    assert dataset.current.report["columns_unused"] == ["customer question"]
    assert Upload.objects.count() == 0
    assert files_in(data_dir) == [f"datasets/{dataset.current.pk}.jsonl"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answer_column": "customer question"}, "the same column"),
        ({"answer_column": "nothing"}, "nothing is not one of the available choices"),
        ({"name": "Taken"}, "You have a dataset named"),
        ({"name": ""}, "Give the dataset a name"),
    ],
)
def test_a_mistake_keeps_the_file_waiting(
    change: dict[str, str], said: str, alices: Client, alice: User, waiting: Upload, tmp_path: Path
) -> None:
    make_dataset(alice, tmp_path, name="taken")
    chosen = {"prompt_column": "customer question", "answer_column": "our reply", "name": "support"}
    answer = alices.post(waiting.get_absolute_url(), {**chosen, **change})
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert waiting.path.exists()
    assert Dataset.objects.count() == 1


def test_too_few_rows_for_the_mapping_are_listed(alices: Client, waiting: Upload) -> None:
    waiting.path.write_text(TABLE.replace("reply", " ").replace(" 1,", ",").replace(" \n", "\n"))
    waiting.path.write_text("id,question,reply\n" + "1,a,b\n" * 10 + "1,a,\n")
    chosen = {"prompt_column": "question", "answer_column": "reply", "name": "support"}
    page = alices.post(waiting.get_absolute_url(), chosen).content.decode()
    assert "10 good examples; at least 20" in page
    assert "The column reply is empty." in page


def test_the_preview_follows_the_choice(alices: Client, waiting: Upload) -> None:
    answer = alices.get(
        f"{waiting.get_absolute_url()}preview/",
        {"prompt_column": "id", "answer_column": "our reply"},
    )
    fragment = answer.content.decode()
    assert 'id="mapping-preview"' in fragment
    assert "<html" not in fragment
    assert "reply 0" in fragment
    assert "question 0" not in fragment


def test_a_waiting_file_can_be_discarded(alices: Client, waiting: Upload, data_dir: Path) -> None:
    assert "support.csv" in alices.get("/datasets/").content.decode()
    alices.post(f"{waiting.get_absolute_url()}discard/")
    assert_nothing_left(data_dir)


def test_a_stranger_finds_nothing(waiting: Upload, bob: User) -> None:
    stranger = Client()
    stranger.force_login(bob)
    address = waiting.get_absolute_url()
    assert stranger.get(address).status_code == 404
    assert stranger.post(address, {"name": "x"}).status_code == 404
    assert stranger.get(f"{address}preview/").status_code == 404
    assert stranger.post(f"{address}discard/").status_code == 404
    assert waiting.path.exists()


@pytest.mark.parametrize(
    ("columns", "prompt", "answer"),
    [
        (["text", "category"], "text", "category"),
        (["fname", "dialogue", "summary", "topic"], "dialogue", "summary"),
        (["context", "label", "text"], "text", "label"),
        (["reply", "question"], "question", "reply"),
        (["userInput.text", "labels[0].slot"], "userInput.text", "labels[0].slot"),
        (["a", "b"], "a", "b"),
    ],
)
def test_the_guess_goes_by_whole_words(columns: list[str], prompt: str, answer: str) -> None:
    guess = guess_mapping(columns)
    assert (guess.prompt, guess.answer) == (prompt, answer)


def test_nested_rows_have_columns_too_but_a_longer_list_is_never_cut() -> None:
    row = {"a": {"b": "1"}, "one": [{"c": "2"}], "two": ["3", "4"]}
    assert flatten(row) == {"a.b": "1", "one[0].c": "2", "two": ["3", "4"]}
