"""Which records become examples, and what is said of those that do not."""

from __future__ import annotations

import json

import pytest

from tuner.errors import ExampleError, SettingsError
from tuner.examples import Example, Message, example_from_fields, read_examples, split_examples


@pytest.mark.parametrize("fields", ["text_input output", "prompt completion", "input output"])
def test_the_recognised_pairs_become_a_question_and_an_answer(fields):
    prompt, answer = fields.split()
    example = example_from_fields({prompt: "one", answer: "two", "note": "ignored"})
    assert example == Example((Message("user", "one"), Message("assistant", "two")))


def test_messages_keep_all_their_turns():
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
    ]
    example = example_from_fields({"messages": turns})
    assert example.as_dict() == {"messages": turns}
    assert (example.prompt_text, example.answer_text) == ("Be brief.\none", "two")
    assert Example.from_dict(example.as_dict()) == example


def turns(*roles: str) -> dict[str, object]:
    return {"messages": [{"role": role, "content": "text"} for role in roles]}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"question": "one", "answer": "two"}, "question, answer"),
        ({"prompt": "one", "completion": "  "}, "completion is empty"),
        ({"prompt": None, "completion": "two"}, "prompt is not text"),
        ({"instruction": "one", "input": ["a"], "output": "two"}, "input is not text"),
        ({"instruction": "", "input": "", "output": "two"}, "instruction is empty"),
        ({"messages": "one"}, "not a list"),
        ({"messages": [{"role": "user"}]}, "Turn 1 has no role and content"),
        (turns("user", "robot"), "Turn 2 has the role 'robot'"),
        (turns("user"), "no assistant turn"),
        (turns("assistant", "user", "assistant"), "before any user turn"),
        (turns("user", "assistant", "user"), "last turn"),
        (turns("user", "system", "assistant"), "system turn stands after"),
    ],
)
def test_a_record_that_is_no_example_says_why_and_what_to_do(record, reason):
    with pytest.raises(ExampleError) as raised:
        example_from_fields(record)
    assert reason in raised.value.reason
    assert raised.value.remedy.endswith(".")


@pytest.mark.parametrize(
    ("added", "prompt"),
    [({"input": "7"}, "Add one\n\n7"), ({"input": " "}, "Add one"), ({"input": None}, "Add one")],
)
def test_an_instruction_is_not_lost_beside_its_input(added, prompt):
    record = {"instruction": "Add one", **added, "output": "8"}
    assert example_from_fields(record) == Example.from_pair(prompt, "8")
    without_input = {"instruction": "Add one", "output": "8"}
    assert example_from_fields(without_input) == Example.from_pair("Add one", "8")


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_numbers_stay_the_text_they_were(tmp_path, name):
    path = tmp_path / name
    line = '{"input": 1.10, "output": 12345678901234567890}'
    path.write_text(f"[{line}]" if name.endswith(".json") else line, encoding="utf-8")
    assert read_examples(path) == [Example.from_pair("1.10", "12345678901234567890")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.jsonl", '{"input": "1", "output": "2"}\n\n{"input": "3", "output": 4}\n'),
        ("rows.json", '[{"input": "1", "output": "2"}, {"input": "3", "output": "4"}]'),
        ("rows.csv", "\ufeffinput,output\n1,2\n3,4\n"),
        ("rows.tsv", "input\toutput\n1\t2\n3\t4\n"),
    ],
)
def test_every_file_format_is_read(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert read_examples(path) == [Example.from_pair("1", "2"), Example.from_pair("3", "4")]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("rows.jsonl", b'{"input": "1", "output": "2"}\n{"input": ', "Line 2 is not JSON"),
        ("rows.jsonl", b'{"input": "1", "output": ""}\n', "Line 1: The field output is empty"),
        ("rows.jsonl", b"[1]\n", "Line 1 is not an object"),
        ("rows.jsonl", b"\n", "holds no examples"),
        ("rows.jsonl", b"\xff\xfe\x00", "not UTF-8"),
        ("rows.json", b'{"input": "1", "output": "2"}', "not a JSON array"),
        ("rows.jsonl", b'{"input": "1", "input": "2", "output": "3"}\n', "input stands twice"),
        ("rows.csv", b"input,input,output\n1,2,3\n", "Two columns are named input"),
        ("rows.csv", b"input,output\n1,2,3\n", "Line 2 has another number of cells"),
        ("rows.csv", b'input,output\n1,"2\n', "unexpected end of data"),
    ],
)
def test_a_bad_file_ends_in_one_sentence(tmp_path, name, content, sentence):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ExampleError, match=sentence):
        read_examples(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ExampleError, match=r"no file .*rows\.jsonl"):
        read_examples(tmp_path / "rows.jsonl")


def test_a_split_loses_nothing_and_is_the_same_for_the_same_seed():
    numbers = list(range(120))
    training, validation = split_examples(numbers, 0.15, seed=3)
    assert len(validation) == 18
    assert sorted(training + validation) == numbers
    assert split_examples(numbers, 0.15, seed=3) == (training, validation)
    assert split_examples(numbers, 0.15, seed=4) != (training, validation)


def test_a_split_leaves_at_least_one_on_each_side():
    assert [len(part) for part in split_examples([1, 2], 0.01, seed=0)] == [1, 1]
    with pytest.raises(SettingsError, match="cannot be split"):
        split_examples([1], 0.5, seed=0)


def test_without_a_share_everything_is_trained():
    assert split_examples([1, 2], 0.0, seed=0) == ([1, 2], [])


def test_text_of_any_script_survives_the_canonical_form(tmp_path):
    example = Example.from_pair("naïve 世界 🎉", "ζ\u2028line")
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(example.as_dict(), ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_examples(path) == [example]
