"""The sample sets: enough examples, all good, and never twice the same."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from accounts.models import User
from datasets.models import Dataset
from datasets.next_number import held_out_pairs, taught_pairs
from datasets.samples import GENERAL_CHAT, SAMPLE_SETS, add_sample
from tests.datasets.making import make_dataset


@pytest.mark.parametrize("sample", [*SAMPLE_SETS, GENERAL_CHAT], ids=lambda sample: sample.slug)
def test_a_sample_set_is_whole_and_distinct(sample: object, alice: User, data_dir: Path) -> None:
    version = add_sample(alice, sample.slug).current  # type: ignore[attr-defined]
    assert version.example_count >= 120
    assert version.report["bad"] == 0
    assert version.report["warnings"] == []
    prompts = [example.prompt_text for example in version.examples()]
    assert len(set(prompts)) == len(prompts)


def test_the_categories_are_balanced(alice: User, data_dir: Path) -> None:
    examples = add_sample(alice, "support-categories").current.examples()
    counts = Counter(example.answer_text for example in examples)
    assert len(counts) == 6
    assert min(counts.values()) >= 20


def test_the_next_number_file_is_what_its_module_says_and_holds_out_sixty(
    alice: User, data_dir: Path
) -> None:
    examples = add_sample(alice, "next-number").current.examples()
    taught = [(example.prompt_text, example.answer_text) for example in examples]
    assert taught == taught_pairs()
    held_out = held_out_pairs()
    assert len(held_out) == 60
    assert not {prompt for prompt, _ in held_out} & {prompt for prompt, _ in taught}


def test_a_sample_is_added_once_and_found_again(alice: User, bob: User, data_dir: Path) -> None:
    first = add_sample(alice, "next-number")
    assert add_sample(alice, "next-number") == first
    assert add_sample(bob, "next-number") != first
    assert Dataset.objects.for_user(alice).count() == 1


def test_a_sample_finds_a_free_name(alice: User, data_dir: Path, tmp_path: Path) -> None:
    make_dataset(alice, tmp_path, name="next NUMBER")
    assert add_sample(alice, "next-number").name == "Next number 2"


def test_an_unknown_sample_is_an_error(alice: User, data_dir: Path) -> None:
    with pytest.raises(KeyError):
        add_sample(alice, "nothing")
