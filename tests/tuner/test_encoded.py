"""The examples of a run as tokens: what becomes of long ones, and when each is encoded."""

from __future__ import annotations

import random
import shutil
import threading
from pathlib import Path

import pytest

from tests.tuner.making import CONVERSATION, COUNTING
from tuner.encode import ChatEncoder
from tuner.encode_many import ManyEncoder
from tuner.encoded import EncodedExamples
from tuner.errors import ExampleError, ModelError
from tuner.examples import Example, Message
from tuner.mixture import Source, mix

LONG = Example.from_pair("say it", "word " * 60)
LONG_PROMPT = Example.from_pair("word " * 60, "yes")


@pytest.fixture
def encoder(tiny_model):
    return ChatEncoder.load(tiny_model)


def encoded(encoder, examples, limit=100, **options):
    return EncodedExamples(encoder, examples, limit, lambda: None, **options)


def counting_examples(count):
    return [Example.from_pair(f"what follows {n}?", f"{n + 1}") for n in range(count)]


@pytest.fixture
def asked(monkeypatch):
    """The lists of examples that were encoded, as they came."""
    lists: list[list[Example]] = []
    encode = ManyEncoder.encode

    def watched(self, examples):
        lists.append(list(examples))
        return encode(self, examples)

    monkeypatch.setattr(ManyEncoder, "encode", watched)
    return lists


def test_longer_examples_are_dropped_and_counted(encoder):
    found = encoded(encoder, [COUNTING[0], LONG, COUNTING[1]])
    assert (len(found), found.dropped, found.truncated) == (2, 1, 0)
    assert found[1] == encoder.encode_example(COUNTING[1])
    assert found.origin(1) == (2, COUNTING[1])


def test_longer_examples_are_cut_where_something_to_learn_is_left(encoder):
    found = encoded(encoder, [COUNTING[0], LONG, LONG_PROMPT], over_length="truncate")
    assert (len(found), found.dropped, found.truncated) == (2, 1, 1)
    whole = encoder.encode_example(LONG)
    assert len(whole) > len(found[1]) == 100
    assert found[1].ids == whole.ids[:100]
    assert found[1].trained == whole.trained[:100]


def test_longer_examples_can_be_refused_by_number_and_length(encoder):
    length = len(encoder.encode_example(LONG))
    with pytest.raises(ExampleError, match=f"Example 2 has {length} tokens; the limit is 100"):
        encoded(encoder, [COUNTING[0], LONG, LONG_PROMPT], over_length="refuse")
    assert len(encoded(encoder, COUNTING, over_length="refuse")) == len(COUNTING)


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [("drop", "None of the 1 examples has at most 100 tokens"), ("truncate", "Cut to 100 tokens")],
)
def test_nothing_left_to_learn_is_said(encoder, policy, sentence):
    with pytest.raises(ExampleError, match=sentence):
        encoded(encoder, [LONG_PROMPT], over_length=policy).check_not_empty()
    encoded(encoder, COUNTING, over_length=policy).check_not_empty()


def test_what_is_trained_on_is_chosen(encoder):
    def trained(trained_on):
        tokens = encoded(encoder, [CONVERSATION], trained_on=trained_on)[0]
        return "".join(text for text, is_trained, _ in encoder.pieces(tokens) if is_trained)

    assert trained("answers") == " 42 世界\n<|im_end|>43<|im_end|>"
    assert trained("last answer") == "43<|im_end|>"
    everything = trained("everything")
    assert everything.startswith("system\nBe brief.<|im_end|>")
    assert everything.endswith("43<|im_end|>\n")


def test_the_first_step_waits_for_a_few_examples_however_many_there_are(encoder, asked):
    examples = counting_examples(5000)
    found = encoded(encoder, examples, limit=2048)
    order = list(range(5000))
    random.Random(0).shuffle(order)
    found.expect(order)
    threads_before = set(threading.enumerate())
    first = found[order[0]]
    assert first == encoder.encode_example(examples[order[0]])
    waited_for = asked[:2]  # for the order of roles, and for the first step
    assert sum(map(len, waited_for)) < 50
    assert asked[1][:4] == [examples[index] for index in order[:4]]
    found.close()
    assert set(threading.enumerate()) <= threads_before


def test_every_example_is_encoded_once_in_whatever_order_they_are_asked_for(encoder, asked):
    examples = counting_examples(700)
    found = encoded(encoder, examples, limit=2048)
    orders = [random.Random(epoch).sample(range(700), 700) for epoch in range(2)]
    found.expect(orders[0])
    for order in orders:
        for index in order:
            assert found[index].ids[-2] == encoder.tokenizer.token_to_id("<|im_end|>")
    found.close()
    encoded_texts = [example.prompt_text for examples in asked for example in examples]
    assert len(encoded_texts) == len(set(encoded_texts)) == 700


def test_an_example_that_comes_twice_in_a_mixture_is_encoded_once(encoder, asked):
    mixture = mix([Source(counting_examples(20), 3)], seed=0)
    found = encoded(encoder, mixture)
    assert len(found) == 60
    assert found[0] == found[1] == found[2] != found[3]
    list(found)
    assert sum(map(len, asked)) == 20


def test_a_sign_of_life_comes_while_many_long_examples_are_measured(encoder):
    signs = []
    examples = [Example.from_pair(f"{n} " * 40, "yes") for n in range(600)]
    EncodedExamples(encoder, examples, 100, lambda: signs.append(1))
    assert len(signs) >= 3

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        EncodedExamples(encoder, examples, 100, stop)


def test_a_bad_example_is_named_by_its_number_when_its_turn_comes(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    template = (
        "{% for m in messages %}{% if '39' in m.content %}{{ raise_exception('It is odd') }}"
        "{% endif %}{{ m.role + '\n' + m.content + '<|im_end|>' }}{% endfor %}"
    )
    (folder / "chat_template.jinja").write_text(template)
    found = encoded(ChatEncoder.load(folder), counting_examples(60), limit=2048)
    assert len(found[37]) > 0
    with pytest.raises(ExampleError, match=r"Example 40: .*It is odd"):
        found[39]
    assert len(found[40]) > 0


def test_an_order_of_turns_that_the_template_refuses_is_found_at_once(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    template = (
        "{% for m in messages %}{% if m.role == 'system' %}"
        "{{ raise_exception('No system turn') }}{% endif %}"
        "{{ m.role + '\n' + m.content + '<|im_end|>' }}{% endfor %}"
    )
    (folder / "chat_template.jinja").write_text(template)
    with_system = Example((Message("system", "Be."), *COUNTING[0].messages))
    with pytest.raises(ExampleError, match=r"Example 3: .*No system turn"):
        encoded(ChatEncoder.load(folder), [*COUNTING[:2], with_system])


def test_a_run_finds_on_disk_what_another_encoded(encoder, asked, tmp_path):
    examples = counting_examples(50)
    first = encoded(encoder, examples, token_cache=tmp_path / "tokens")
    tokens = [first[index] for index in range(50)]
    first.close()
    asked.clear()
    more = [*counting_examples(60)[::-1]]
    second = encoded(encoder, more, token_cache=tmp_path / "tokens")
    assert [second[59 - index] for index in range(50)] == tokens
    second.close()
    assert sum(map(len, asked)) == 10
    asked.clear()
    other = encoded(encoder, examples, trained_on="everything", token_cache=tmp_path / "tokens")
    assert other[0].trained != tokens[0].trained
    assert sum(map(len, asked)) > 0


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "foreign"])
def test_a_damaged_cache_is_encoded_anew(encoder, tmp_path, damage):
    examples = counting_examples(40)
    first = encoded(encoder, examples, token_cache=tmp_path)
    tokens = list(first)
    first.close()
    (path,) = tmp_path.iterdir()
    spoil(path, damage)
    second = encoded(encoder, examples, token_cache=tmp_path)
    assert list(second) == tokens
    second.close()
    assert path.stat().st_size > 1000  # written again


def spoil(path: Path, damage: str) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    changed = {
        "cut": bytes(content[:200]),
        "flipped": bytes(content),
        "emptied": b"",
        "foreign": b"x" * 500,
    }
    path.write_bytes(changed[damage])


def test_a_template_that_writes_unknown_tokens_is_refused_before_anything_is_learned(
    tiny_model, tmp_path
):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    template = "{% for m in messages %}{{ '<|turn|>' + m.content }}<|im_end|>{% endfor %}"
    (folder / "chat_template.jinja").write_text(template)
    with pytest.raises(ModelError, match=r"writes <\|turn\|>, but the tokenizer has no such token"):
        encoded(ChatEncoder.load(folder), COUNTING)


def test_a_template_without_an_end_of_turn_is_refused(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    template = "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"
    (folder / "chat_template.jinja").write_text(template)
    with pytest.raises(ModelError, match="could not learn where to end"):
        encoded(ChatEncoder.load(folder), COUNTING)
