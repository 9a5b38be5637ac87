"""From the form to a dataset, or back to the form with what was wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import User
from datasets.models import Dataset
from tests.datasets.making import Rows, as_lines, assert_nothing_left, make_dataset, numbers

HTMX = {"HX-Request": "true"}


def send(
    client: Client,
    content: bytes | Rows,
    name: str = "numbers",
    headers: dict[str, str] | None = None,
) -> Any:
    """Send a file as a browser does."""
    data = as_lines(content).encode() if isinstance(content, list) else content
    file = SimpleUploadedFile("my numbers.jsonl", data)
    return client.post("/datasets/new/", {"name": name, "file": file, "rows": ""}, headers=headers)


@pytest.fixture
def alices(alice: User, data_dir: Path, client: Client) -> Client:
    """Alice's browser."""
    client.force_login(alice)
    return client


def test_the_form_names_its_controls_and_shows_the_formats(alices: Client) -> None:
    page = alices.get("/datasets/new/").content.decode()
    for words in ("Dataset file", "Dataset name", "Or paste rows", "Upload dataset"):
        assert words in page
    assert 'data-limit-bytes="100000000"' in page


def test_a_file_becomes_a_dataset(alices: Client) -> None:
    answer = send(alices, numbers(25))
    dataset = Dataset.objects.get()
    assert answer.status_code == 302
    assert answer["Location"] == f"/datasets/{dataset.pk}/"
    assert dataset.name == "numbers"


def test_htmx_is_told_where_to_go(alices: Client) -> None:
    answer = send(alices, numbers(25), headers=HTMX)
    assert answer["HX-Redirect"] == f"/datasets/{Dataset.objects.get().pk}/"


def test_without_a_name_the_file_gives_its_own(alices: Client) -> None:
    send(alices, numbers(25), name="")
    assert Dataset.objects.get().name == "my numbers"


def test_pasted_rows_become_a_dataset(alices: Client) -> None:
    table = "prompt,completion\r\n" + "one,two\r\n" * 25
    answer = alices.post("/datasets/new/", {"name": "pasted", "rows": table})
    assert answer.status_code == 302
    assert Dataset.objects.get().current.example_count == 25


def test_line_breaks_in_pasted_cells_are_those_that_were_typed(alices: Client) -> None:
    table = "prompt,completion\r\n" + '"one\r\nline","two"\r\n' * 25
    alices.post("/datasets/new/", {"name": "pasted", "rows": table})
    assert Dataset.objects.get().current.examples()[0].prompt_text == "one\nline"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The file is empty"),
        (b"\x00\x01", "binary file"),
        (b"prompt,completion\n\xff,b\n", "is not UTF-8 text"),
        (numbers(19), "19 good examples; at least 20"),
    ],
)
def test_a_refused_file_keeps_the_typed_name(
    content: bytes | Rows, said: str, alices: Client, data_dir: Path
) -> None:
    answer = send(alices, content, name="My typed name")
    page = answer.content.decode()
    assert answer.status_code == 422
    assert said in page
    assert 'value="My typed name"' in page
    assert "error-summary" in page
    assert_nothing_left(data_dir)


def test_the_bad_lines_of_a_refused_file_are_listed(alices: Client) -> None:
    page = send(alices, as_lines(numbers(5)).encode() + b'{"prompt": "cut o').content.decode()
    assert "The line breaks off" in page
    assert "Complete it or remove it." in page


def test_a_taken_name_is_an_error_of_the_name(alices: Client, alice: User, tmp_path: Path) -> None:
    make_dataset(alice, tmp_path)
    answer = send(alices, numbers(25), name="Numbers", headers=HTMX)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "You have a dataset named" in page
    assert page.lstrip().startswith("<form")
    assert Dataset.objects.count() == 1


def test_a_file_over_the_limit_is_refused(alices: Client, data_dir: Path, settings: object) -> None:
    settings.UPLOAD_LIMIT_BYTES = 1000  # type: ignore[attr-defined]
    answer = send(alices, b"x" * 2000)
    assert answer.status_code == 422
    assert "the limit is" in answer.content.decode()
    assert_nothing_left(data_dir)


def test_pasted_rows_too_long_for_a_form_are_refused(
    alices: Client, data_dir: Path, settings: object
) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000  # type: ignore[attr-defined]
    answer = alices.post("/datasets/new/", {"name": "pasted", "rows": "x" * 2000})
    assert answer.status_code == 422
    assert "too long for a form" in answer.content.decode()
    assert_nothing_left(data_dir)


@pytest.mark.parametrize("form", [{"name": "empty", "rows": ""}, {"name": "both", "rows": "a,b"}])
def test_exactly_one_source_is_asked_for(
    form: dict[str, object], alices: Client, data_dir: Path
) -> None:
    if form["name"] == "both":
        form = {**form, "file": SimpleUploadedFile("a.csv", b"a,b\n1,2\n")}
    assert alices.post("/datasets/new/", form).status_code == 422
    assert_nothing_left(data_dir)


def test_a_form_without_its_secret_is_refused(alice: User, data_dir: Path) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert send(client, numbers(25)).status_code == 403
    assert_nothing_left(data_dir)


def test_a_visitor_is_sent_to_sign_in(client: Client, data_dir: Path, db: None) -> None:
    answer = send(client, numbers(25))
    assert answer.status_code == 302
    assert answer["Location"].startswith("/account/sign-in/")
    assert_nothing_left(data_dir)
