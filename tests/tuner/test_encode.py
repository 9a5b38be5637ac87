"""Ids as transformers would make them, and a mask over exactly what the model has to say."""

from __future__ import annotations

import json
import shutil

import pytest
from transformers import AutoTokenizer

from tests.tuner.making import CONVERSATION, COUNTING
from tuner.encode import ChatEncoder
from tuner.errors import ExampleError, ModelError
from tuner.examples import Example, Message

DEFAULT_SYSTEM = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
THINKING = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\n' }}"
    "{% if message.role == 'assistant' %}{% generation %}"
    "{% if loop.last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{{ message.content | trim + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message.content | trim + '<|im_end|>' }}{% endif %}{{ '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.fixture
def with_template(tiny_model, tmp_path):
    """The tiny model with another chat template."""

    def make(template: str) -> ChatEncoder:
        folder = shutil.copytree(tiny_model, tmp_path / "model")
        config = json.loads((folder / "tokenizer_config.json").read_text())
        config["chat_template"] = template
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        return ChatEncoder.load(folder)

    return make


def trained_text(encoder: ChatEncoder, example: Example) -> str:
    encoded = encoder.encode_example(example)
    return "".join(text for text, trained, _ in encoder.pieces(encoded) if trained)


@pytest.mark.parametrize("example", [CONVERSATION, COUNTING[0]])
def test_ids_are_those_of_transformers(tiny_model, example):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    encoder = ChatEncoder.load(tiny_model)
    turns = [turn.as_dict() for turn in example.messages]
    expected = tokenizer.apply_chat_template(turns, return_dict=True)["input_ids"]
    assert encoder.encode_example(example).ids == expected
    prompt = tokenizer.apply_chat_template(
        turns[:-1], add_generation_prompt=True, return_dict=True
    )["input_ids"]
    assert encoder.encode_prompt(example.messages[:-1]) == prompt


def test_every_answer_and_its_end_is_trained_and_nothing_else(tiny_model):
    encoder = ChatEncoder.load(tiny_model)
    assert trained_text(encoder, CONVERSATION) == " 42 世界\n<|im_end|>43<|im_end|>"


def test_the_prompt_and_what_is_trained_make_up_the_whole_example(tiny_model):
    encoder = ChatEncoder.load(tiny_model)
    encoded = encoder.encode_example(COUNTING[0])
    prompt = encoder.encode_prompt(COUNTING[0].messages[:1])
    assert encoded.ids[: len(prompt)] == prompt
    assert encoded.trained[: len(prompt)] == [False] * len(prompt)
    assert encoded.trained[len(prompt)]


def test_a_template_that_adds_a_system_prompt_does_not_shift_the_mask(with_template):
    encoder = with_template(DEFAULT_SYSTEM)
    assert "You are a helpful assistant" in encoder.render(COUNTING[0].messages, False)
    assert trained_text(encoder, COUNTING[0]) == "41<|im_end|>"
    assert trained_text(encoder, CONVERSATION) == " 42 世界\n<|im_end|>43<|im_end|>"


def test_a_thinking_frame_belongs_to_what_the_model_says(with_template):
    encoder = with_template(THINKING)
    expected = "42 世界<|im_end|><think>\n\n</think>\n\n43<|im_end|>"
    assert trained_text(encoder, CONVERSATION) == expected
    assert encoder.encode_example(CONVERSATION).ids.count(0) == 1  # one beginning, not two


def test_an_answer_that_repeats_the_question_is_found_at_its_own_place(tiny_model):
    encoder = ChatEncoder.load(tiny_model)
    example = Example((Message("user", "42 42"), Message("assistant", "42")))
    encoded = encoder.encode_example(example)
    assert trained_text(encoder, example) == "42<|im_end|>"
    assert encoded.trained.index(True) == len(encoder.encode_prompt(example.messages[:1]))


def test_a_trimmed_turn_is_not_found_within_a_later_one(with_template):
    encoder = with_template(THINKING.replace("<think>\n\n</think>\n\n", ""))
    turns = ("Capital of France?", " Paris", "What about Paris?", "Yes ", "Yes but why?", "So.")
    roles = ("user", "assistant") * 3
    example = Example(tuple(Message(*turn) for turn in zip(roles, turns, strict=True)))
    assert trained_text(encoder, example) == "Paris<|im_end|>Yes<|im_end|>So.<|im_end|>"


def test_a_trimmed_turn_of_a_user_does_not_hide_the_answer_after_it(with_template):
    encoder = with_template(THINKING.replace("<think>\n\n</think>\n\n", ""))
    turns = ("Paris ", "It is in France.", "Where is Paris now?", "It is in France.")
    roles = ("user", "assistant") * 2
    example = Example(tuple(Message(*turn) for turn in zip(roles, turns, strict=True)))
    assert trained_text(encoder, example) == "It is in France.<|im_end|>" * 2


def test_what_a_template_refuses_is_an_error_of_the_example(with_template):
    encoder = with_template("{{ raise_exception('Only one turn is allowed') }}")
    with pytest.raises(ExampleError, match="Only one turn is allowed"):
        encoder.encode_example(CONVERSATION)


def test_a_template_cannot_reach_out_of_its_sandbox(with_template):
    encoder = with_template("{{ messages.__class__.__mro__ }}")
    with pytest.raises(ModelError, match="unsafe"):
        encoder.render(CONVERSATION.messages, False)


@pytest.mark.parametrize(
    "expression",
    [
        "9**9**9**9",
        "'x' * 10**12",
        "10**12 * 'x'",
        "[0] * 10**9",
        "(10**18) * (10**18) * 10",
        "2**-1e9",
    ],
)
def test_a_template_that_computes_without_measure_is_stopped(with_template, expression):
    encoder = with_template("{{ " + expression + " }}")  # compiled without computing it
    with pytest.raises(ModelError, match="too large"):
        encoder.render(CONVERSATION.messages, False)


def test_a_template_may_compute_what_templates_need(with_template):
    encoder = with_template("{{ '-' * 3 }}{{ 2 * 'ab' }}{{ 2 ** 10 }}{{ 1.5 * messages | length }}")
    assert encoder.render(CONVERSATION.messages, False) == "---abab10247.5"


@pytest.mark.parametrize(
    "template",
    [
        "{{ 1 / 0 }}",
        "{{ {}.popitem() }}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
        "{{ '%c' % 10000000000000000000000 }}",
        "{{ messages[0].missing.more }}",
    ],
)
def test_however_a_template_fails_it_is_said_in_words(with_template, template):
    encoder = with_template(template)
    with pytest.raises((ExampleError, ModelError), match="chat template"):
        encoder.render(CONVERSATION.messages, False)


def test_a_template_too_deep_to_compile_is_an_error_of_the_model(with_template):
    with pytest.raises(ModelError, match="chat template has an error"):
        with_template("{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}")


def test_templates_may_write_json_and_dates(with_template):
    encoder = with_template("{{ {'a': '<é>'} | tojson }} {{ strftime_now('%Y') | length }}")
    assert encoder.render(CONVERSATION.messages, False) == '{"a": "<é>"} 4'


def test_a_broken_template_is_an_error_of_the_model(with_template):
    with pytest.raises(ModelError, match="chat template has an error"):
        with_template("{% if %}")


def test_a_text_stream_never_gives_half_a_character(tiny_model):
    encoder = ChatEncoder.load(tiny_model)
    text = "é 世界 🎉 ok"
    ids = encoder.encode_prompt([Message("user", text)])
    stream = encoder.text_stream()
    pieces = [stream.feed(token) for token in ids]
    assert "" in pieces
    assert not any("\ufffd" in piece for piece in pieces)
    assert text in "".join(pieces)


def test_the_end_of_a_turn_ends_an_answer_even_where_the_tokenizer_has_another_end(
    tiny_model, tmp_path
):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["eos_token"] = "<|endoftext|>"
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    assert ChatEncoder.load(folder).end_ids == {0, 2}


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_missing_or_broken_file_is_named(tiny_model, tmp_path, name):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / name).write_text("{")
    with pytest.raises(ModelError, match=name):
        ChatEncoder.load(folder)
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"has no {name}"):
        ChatEncoder.load(folder)


def test_a_model_without_a_chat_template_is_refused(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / "tokenizer_config.json").write_text("{}")
    with pytest.raises(ModelError, match="no chat template"):
        ChatEncoder.load(folder)
