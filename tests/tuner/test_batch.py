"""Packed and padded batches say the same, and nothing but answers is learned."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from tests.tuner.making import CONVERSATION, COUNTING
from tuner.adapter import add_adapter, load_base
from tuner.batch import packed_batch, padded_batch, shared_length
from tuner.encode import ChatEncoder
from tuner.encoded import EncodedExamples
from tuner.examples import Example, Message
from tuner.settings import TuningSettings
from tuner.supervised import Supervised

SYSTEM = Message("system", "Answer with the next number and nothing else.")
WITH_SYSTEM = [Example((SYSTEM, *example.messages)) for example in COUNTING[:3]]
MIXED = [CONVERSATION, *COUNTING[:3]]
SAME_PROMPT = [Example.from_pair("a number", answer) for answer in ("1", "22", "1")]


@pytest.fixture
def encoder(tiny_model):
    return ChatEncoder.load(tiny_model)


def loss_and_gradients(model, encoder, examples, *, packing):
    encoded = EncodedExamples(encoder, examples, 2048, lambda: None)
    objective = Supervised(encoded, pad_id=encoder.pad_id, packing=packing)
    total, answers, _ = objective.loss(model, range(len(examples)))
    model.zero_grad()
    torch.autograd.backward(total / answers)
    gradients = [weight.grad.clone() for weight in model.parameters() if weight.requires_grad]
    return total.item() / answers, torch.cat([gradient.flatten() for gradient in gradients])


@pytest.mark.parametrize("examples", [WITH_SYSTEM, MIXED, SAME_PROMPT, COUNTING[:1]])
def test_a_packed_step_equals_the_padded_one(tiny_model, encoder, examples):
    base = load_base(tiny_model, "float32", torch.device("cpu"))
    model = add_adapter(base, TuningSettings())
    for name, weight in model.named_parameters():
        if "lora_B" in name:  # which starts at zero, and would hide the other half's gradient
            torch.nn.init.normal_(weight, std=0.1, generator=torch.Generator().manual_seed(1))
    packed_loss, packed = loss_and_gradients(model, encoder, examples, packing=True)
    padded_loss, padded = loss_and_gradients(model, encoder, examples, packing=False)
    assert packed_loss == pytest.approx(padded_loss, rel=1e-5)
    assert (packed - padded).norm() < 1e-4 * padded.norm()


def test_the_loss_is_that_of_stock_transformers_with_labels(tiny_model, encoder):
    base = load_base(tiny_model, "float32", torch.device("cpu"))
    encoded = encoder.encode_example(CONVERSATION)
    ids = torch.tensor([encoded.ids])
    labels = ids.masked_fill(~torch.tensor([encoded.trained]), -100)
    with torch.no_grad():
        expected = base(input_ids=ids, labels=labels).loss.item()
    model = add_adapter(base, TuningSettings())
    loss, _ = loss_and_gradients(model, encoder, [CONVERSATION], packing=True)
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("make", [packed_batch, lambda examples: padded_batch(examples, 0)])
def test_targets_are_the_trained_tokens_and_no_others(encoder, make):
    examples = [encoder.encode_example(example) for example in MIXED]
    batch = make(examples)
    trained = [
        token
        for example in examples
        for token, is_trained in zip(example.ids, example.trained, strict=True)
        if is_trained
    ]
    assert batch.targets.tolist() == trained
    assert len(batch.picked) == len(trained)


def test_a_packed_row_holds_the_shared_beginning_once(encoder):
    examples = [encoder.encode_example(example) for example in WITH_SYSTEM]
    shared = shared_length(examples)
    assert shared > 20
    batch = packed_batch(examples)
    assert batch.ids.shape[1] == sum(map(len, examples)) - 2 * shared
    assert batch.real_tokens == sum(map(len, examples))


def test_a_padded_batch_is_no_longer_than_its_longest_example(encoder):
    examples = [encoder.encode_example(example) for example in MIXED]
    assert padded_batch(examples, 0).ids.shape == (4, max(map(len, examples)))


class ListeningEncoder(ChatEncoder):
    """Remembers what it was asked to encode."""

    asked: ClassVar[list[Example]] = []

    def encode_example(self, example):
        self.asked.append(example)
        return super().encode_example(example)


def test_examples_are_encoded_when_asked_for_and_once(tiny_model):
    encoder = ListeningEncoder.load(tiny_model)
    asked = ListeningEncoder.asked
    asked.clear()
    examples = EncodedExamples(encoder, COUNTING, 2048, lambda: None)
    assert len(examples) == len(COUNTING)
    assert asked == [COUNTING[0]]  # to see whether the template takes such turns
    assert examples[3] is examples[3]
    assert asked == [COUNTING[0], COUNTING[3]]


def test_a_short_text_in_very_many_turns_is_measured(encoder):
    turns = (Message("user", "1"), Message("assistant", "2"))
    examples = EncodedExamples(encoder, [COUNTING[0], Example(turns * 300)], 2048, lambda: None)
    assert examples.dropped == 1


def test_examples_over_the_limit_are_left_out_and_counted(encoder):
    long = Example.from_pair("7 " * 400, "8")
    examples = EncodedExamples(encoder, [COUNTING[0], long, COUNTING[1]], 100, lambda: None)
    assert (len(examples), examples.dropped) == (2, 1)
    assert examples[1].ids == encoder.encode_example(COUNTING[1]).ids
