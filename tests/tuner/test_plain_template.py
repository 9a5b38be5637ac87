"""Base models without a chat template: the plain one, which is stored and used unchanged after."""

from __future__ import annotations

import json
import shutil

import pytest
from transformers import AutoTokenizer

from tests.tuner.making import CONVERSATION, COUNTING, run
from tuner.encode import ChatEncoder, Encoded
from tuner.encode_many import ManyEncoder
from tuner.errors import ModelError
from tuner.settings import TuningSettings


@pytest.fixture
def bare_model(tiny_model, tmp_path):
    """The tiny model as one that was only pretrained, with its own end of text."""
    folder = shutil.copytree(tiny_model, tmp_path / "bare")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    del config["chat_template"]
    config |= {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def test_the_plain_template_is_as_it_is_documented(bare_model):
    encoder = ChatEncoder.load(bare_model)
    assert encoder.uses_plain_template
    assert encoder.render(COUNTING[0].messages, False) == (
        "User:\n40\n\nAssistant:\n41<|endoftext|>\n\n"
    )
    assert encoder.render(CONVERSATION.messages[:2], True) == (
        "System:\nBe brief.\n\nUser:\nNext after 41, é 世?\n\nAssistant:\n"
    )


def test_answers_and_their_end_are_learned_in_the_plain_template(bare_model):
    encoder = ChatEncoder.load(bare_model)
    encoder.check_for_tuning()
    (encoded,) = ManyEncoder(encoder).encode([CONVERSATION])
    assert isinstance(encoded, Encoded)
    learned = "".join(text for text, trained, _ in encoder.pieces(encoded) if trained)
    assert learned == " 42 世界\n<|endoftext|>43<|endoftext|>"
    assert encoder.end_ids == {0, 2}  # generation_config.json names the other


def test_a_beginning_of_its_own_is_written_once(bare_model):
    path = bare_model / "tokenizer_config.json"
    config = {**json.loads(path.read_text()), "bos_token": "<|im_start|>"}
    path.write_text(json.dumps(config))
    text = ChatEncoder.load(bare_model).render(CONVERSATION.messages, False)
    assert text.startswith("<|im_start|>System:")
    assert text.count("<|im_start|>") == 1


def test_the_template_that_was_used_is_stored_and_used_by_us_and_by_transformers(
    bare_model, tmp_path
):
    run(bare_model, tmp_path / "out", settings=TuningSettings(max_steps=1))
    stored, base = ChatEncoder.load(tmp_path / "out"), ChatEncoder.load(bare_model)
    assert not stored.uses_plain_template
    prompt = CONVERSATION.messages[:-1]
    assert stored.encode_prompt(prompt) == base.encode_prompt(prompt)
    turns = [turn.as_dict() for turn in prompt]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    told = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)
    assert told["input_ids"] == base.encode_prompt(prompt)


def test_a_template_of_its_own_is_stored_as_it_is(tiny_model, tmp_path):
    run(tiny_model, tmp_path / "out", settings=TuningSettings(max_steps=1))
    stored = (tmp_path / "out" / "chat_template.jinja").read_text()
    assert stored == json.loads((tiny_model / "tokenizer_config.json").read_text())["chat_template"]


def test_a_tokenizer_without_an_end_of_text_needs_a_template(bare_model):
    path = bare_model / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token": "</s>"}))
    with pytest.raises(ModelError, match="no chat template and its tokenizer no end of text"):
        ChatEncoder.load(bare_model)
