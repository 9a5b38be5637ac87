"""Many examples at once: the tokens and the mask of each are those of the slow, exact way."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence

import pytest
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

from tuner.encode import ChatEncoder, Encoded
from tuner.encode_many import ManyEncoder
from tuner.errors import ExampleError
from tuner.examples import Example, Message
from tuner.settings import TRAINED_ON
from tuner.text_tokens import TextTokens, words_stand_alone

CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nBe helpful<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for message in messages %}{% set text = '<|start_header_id|>' + "
    "message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' %}"
    "{{ text }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"
    "{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{% set first = messages[0]['content'] + '\n\n' %}{% set turns = messages[1:] %}"
    "{% else %}{% set first = '' %}{% set turns = messages %}{% endif %}"
    "{% for message in turns %}"
    "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + (first if loop.first else '') }}"
    "{{ message['content'] | trim }}{{ '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}"
    "{{ ' ' + message['content'] + eos_token }}{% elif message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% else %}"
    "{{ '[SYS]' ~ message['content'] ~ '[/SYS]' }}{% endif %}{% endfor %}"
)
THINKING = (
    "{% for message in messages %}{% set content = message.content %}"
    "{% if message.role == 'assistant' %}"
    "{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}"
    "{{ '<|im_start|>assistant\n' }}"
    "{% if loop.last %}{{ '<think>\n\n</think>\n\n' + content.lstrip('\n') }}"
    "{% else %}{{ content }}{% endif %}{{ '<|im_end|>\n' }}"
    "{% else %}{{ '<|im_start|>' + message.role + '\n' + content + '<|im_end|>\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
PLAIN_TEXT = (
    "{% for message in messages %}{{ message.role | upper + ': ' + message.content.rstrip() }}"
    "{{ eos_token if message.role == 'assistant' else '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT: ' }}{% endif %}"
)
TEMPLATES = {
    "chatml": CHATML,
    "llama3": LLAMA3,
    "gemma": GEMMA,
    "mistral": MISTRAL,
    "thinking": THINKING,
    "plain text": PLAIN_TEXT,
}
SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>"),
    *("<|eot_id|>", "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]", "<think>", "</think>"),
)
FRAGMENTS = (
    *("the next number", " after ", "41", "  two  spaces ", "\n", "\n\n", "\t", "é", "世界", "🎉"),
    *("\u00a0", "\u2003", "<|im_end|>", "<|im_", "start|>", "</think>", "[INST]", "<think>\nwhy"),
    *("it's", "'ll", "e\u0301", "\u0301", "A", " ", "user", "assistant\n", "x" * 70, "12 34", "."),
)


def byte_level() -> Tokenizer:
    """Of the GPT-2 kind, where words stand alone."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def split_like_qwen() -> Tokenizer:
    """With a pattern of its own before the bytes, and composed letters."""
    pattern = (
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
        " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
    )
    tokenizer = byte_level()
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


def sentence_piece() -> Tokenizer:
    """Of the Llama 2 kind: no words, and a mark before the first piece."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<|endoftext|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def digits_first() -> Tokenizer:
    """Of the SmolLM kind: digits are cut out, then words."""
    tokenizer = byte_level()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), tokenizer.pre_tokenizer]
    )
    return tokenizer


TOKENIZERS = {
    "byte level": byte_level,
    "digits first": digits_first,
    "split": split_like_qwen,
    "sentence piece": sentence_piece,
}


@pytest.fixture(scope="module")
def make_encoder(tmp_path_factory) -> Callable[..., ChatEncoder]:
    """An encoder of a tokenizer's kind with a template, both by name."""

    def make(
        kind: str, name: str, *, template: str = "", special: dict[str, bool] | None = None
    ) -> ChatEncoder:
        folder = tmp_path_factory.mktemp("model")
        tokenizer = TOKENIZERS[kind]()
        tokens = [AddedToken(text, special=True, **(special or {})) for text in SPECIAL]
        trainer = trainers.BpeTrainer(
            vocab_size=500,
            special_tokens=tokens,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator([" ".join(FRAGMENTS)] * 5, trainer)
        tokenizer.save(str(folder / "tokenizer.json"))
        config = {
            "bos_token": "<|endoftext|>",
            "eos_token": "<|im_end|>",
            "chat_template": template or TEMPLATES[name],
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        return ChatEncoder.load(folder)

    return make


def odd_examples(seed: int, count: int) -> list[Example]:
    """Conversations of two to six turns whose texts are anything but plain."""
    draw = random.Random(seed)
    roles = [("user", "assistant"), ("system", "user", "assistant"), ("user", "assistant") * 2]
    roles.append(("system", *("user", "assistant") * 2))

    def text() -> str:
        return "".join(draw.choices(FRAGMENTS, k=draw.randint(1, 6))) + draw.choice(["", "z", "q "])

    examples: list[Example] = []
    while len(examples) < count:
        turns = [Message(role, text()) for role in draw.choice(roles)]
        if all(turn.content.strip() for turn in turns):
            examples.append(Example(tuple(turns)))
    return examples


def one_by_one(encoder: ChatEncoder, example: Example, trained_on: str) -> Encoded | str:
    try:
        return encoder.encode_example(example, trained_on)
    except ExampleError as error:
        return str(error)


@pytest.mark.parametrize("trained_on", TRAINED_ON)
@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_every_result_is_that_of_encoding_one_by_one(make_encoder, kind, template, trained_on):
    encoder = make_encoder(kind, template)
    many = ManyEncoder(encoder, trained_on)
    examples = odd_examples(7, 150)
    for example, outcome in zip(examples, many.encode(examples), strict=True):
        told = outcome if isinstance(outcome, Encoded) else str(outcome)
        assert told == one_by_one(encoder, example, trained_on)
    assert many.has_layout(("user", "assistant"))  # so it was not all done the slow way


def test_a_template_is_rendered_a_few_times_for_hundreds_of_conversations(
    make_encoder, monkeypatch
):
    encoder = make_encoder("byte level", "chatml")
    rendered = []
    render = encoder.render

    def counting(messages: Sequence[Message], generation_prompt: bool) -> str:
        rendered.append(messages)
        return render(messages, generation_prompt)

    monkeypatch.setattr(encoder, "render", counting)
    examples = [Example.from_pair(f"what follows {n}?", f"{n + 1}") for n in range(900)]
    outcomes = ManyEncoder(encoder).encode(examples)
    assert all(isinstance(outcome, Encoded) for outcome in outcomes)
    assert len(rendered) < 20


def test_a_conversation_for_which_the_template_goes_another_way_is_rendered_by_itself(
    make_encoder,
):
    encoder = make_encoder("byte level", "thinking")
    many = ManyEncoder(encoder)
    plain = [Example.from_pair("go", f"answer {n}") for n in range(5)]
    thought = Example.from_pair("go", "so </think>yes")
    *others, last = many.encode([*plain, thought])
    assert many.has_layout(("user", "assistant"))
    assert str(last) == one_by_one(encoder, thought, "answers")
    assert "changes the text of an answer" in str(last)
    assert others == [encoder.encode_example(example) for example in plain]


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{{ m.content | upper }}<|im_end|>{% endfor %}",
        "{% for m in messages %}{{ m.content }}{{ m.content | length }}<|im_end|>{% endfor %}",
        "{% for m in messages %}{{ m.content }}{{ m.content }}<|im_end|>{% endfor %}",
        "{% for m in messages %}{{ m.content | replace('a', 'b') }}<|im_end|>{% endfor %}",
        "{% for m in messages %}{{ m.content | tojson }}<|im_end|>{% endfor %}",
        "{% for m in messages %}{{ m.content.split()[0] }}<|im_end|>{% endfor %}",
        "{{ messages | tojson }}",
    ],
)
def test_a_template_that_does_more_than_place_and_trim_has_no_layout(make_encoder, template):
    encoder = make_encoder("byte level", "chatml", template=template)
    many = ManyEncoder(encoder)
    many.encode([Example.from_pair("a question", "an answer")])
    assert not many.has_layout(("user", "assistant"))


@pytest.mark.parametrize("flag", ["lstrip", "rstrip", "single_word", "normalized"])
@pytest.mark.parametrize("kind", ["byte level", "split"])
def test_special_tokens_that_look_around_change_nothing(make_encoder, kind, flag):
    encoder = make_encoder(kind, "chatml", special={flag: True})
    many = ManyEncoder(encoder)
    examples = odd_examples(11, 60)
    compared = 0
    for example, outcome in zip(examples, many.encode(examples), strict=True):
        alone = one_by_one(encoder, example, "answers")
        if isinstance(alone, Encoded):
            assert outcome == alone
            compared += 1
    assert compared > 50


@pytest.mark.parametrize("kind", ["byte level", "split", "digits first"])
def test_words_put_together_are_the_tokens_of_the_whole_text(make_encoder, kind):
    tokenizer = make_encoder(kind, "chatml").tokenizer
    assert words_stand_alone(tokenizer)
    draw = random.Random(5)
    code = (
        "\n    return 1",
        "\n\tx = ",
        ".\n",
        "\n\n",
        "  \n",
        "\r\n",
        "½",
        "(",
        "\n\n  if a:",
        "7",
        "/\n",
    )
    texts = ["".join(draw.choices(FRAGMENTS + code, k=draw.randint(1, 9))) for _ in range(1500)]
    found = TextTokens(tokenizer).encode([(text, (3,)) for text in texts])
    for text, counted in zip(texts, found, strict=True):
        whole = tokenizer.encode(text, add_special_tokens=False)
        assert counted.ids == whole.ids, text
        assert counted.before == (sum(start < 3 for start, _ in whole.offsets),), text


def test_words_stand_alone_only_where_the_tokenizer_is_known_to_cut_at_spaces():
    assert words_stand_alone(byte_level())
    assert words_stand_alone(split_like_qwen())
    assert not words_stand_alone(sentence_piece())
    greedy = byte_level()
    greedy.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex("\\w+ \\w+|.+"), behavior="isolated"), greedy.pre_tokenizer]
    )
    assert not words_stand_alone(greedy)
