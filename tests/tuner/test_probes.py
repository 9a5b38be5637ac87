"""The fixed prompts that a run answers at each evaluation, and the losses of its examples."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.tuner.making import CONVERSATION, COUNTING, finished, losses, run
from tuner.encode import ChatEncoder
from tuner.events import ExampleLosses, Sampled, Step
from tuner.examples import Example
from tuner.probes import ANSWER_TOKENS, Probes
from tuner.settings import TuningSettings


def sampled(events):
    return [event for event in events if isinstance(event, Sampled)]


def example_losses(events):
    return next(event for event in events if isinstance(event, ExampleLosses)).losses


@pytest.fixture(scope="module")
def model(tiny_model):
    return AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)


def test_the_same_three_held_out_prompts_are_answered_at_every_evaluation(tiny_model, tmp_path):
    held_out = COUNTING[:5]
    events = run(tiny_model, tmp_path / "out", examples=COUNTING[5:], validation=held_out)
    first, second = sampled(events)
    assert (first.step, second.step) == (2, 4)
    prompts = [sample.prompt for sample in first.samples]
    assert len(set(prompts)) == 3
    assert prompts == [sample.prompt for sample in second.samples]
    expected = {example.prompt_text: example.answer_text for example in held_out}
    assert all(expected[sample.prompt] == sample.expected for sample in first.samples)


def test_without_validation_prompts_are_answered_once_at_the_end(tiny_model, tmp_path):
    events = run(tiny_model, tmp_path / "out")
    assert [event.step for event in sampled(events)] == [6]
    every = TuningSettings(epochs=2, evaluate_every_steps=2)
    events = run(tiny_model, tmp_path / "every", settings=every)
    assert [event.step for event in sampled(events)] == [2, 4, 6]


def test_a_model_that_learned_its_examples_by_heart_says_them(tiny_model, tmp_path):
    settings = TuningSettings(epochs=60, learning_rate=0.02, evaluate_every_steps=30)
    examples = [*COUNTING[:2], CONVERSATION]
    events = run(tiny_model, tmp_path / "out", examples=examples, settings=settings)
    before, after = sampled(events)[0], sampled(events)[-1]
    assert [sample.answer for sample in after.samples] == [
        sample.expected for sample in after.samples
    ]
    assert any(sample.answer != sample.expected for sample in before.samples) or losses(events)


def test_the_prompt_of_a_conversation_is_all_before_its_last_answer(tiny_model, model):
    encoder = ChatEncoder.load(tiny_model)
    probes = Probes([CONVERSATION], encoder, seed=0, context_tokens=2048)
    (sample,) = probes.answer(model, lambda: None)
    assert sample.expected == "43"
    assert sample.prompt.startswith("System: Be brief.\nUser: Next after 41")
    assert sample.prompt.endswith("User: go on")


def test_answers_in_one_batch_are_those_given_alone(tiny_model, model):
    encoder = ChatEncoder.load(tiny_model)
    examples = [COUNTING[0], CONVERSATION, Example.from_pair("one two three " * 5, "four")]
    together = Probes(examples, encoder, seed=0, context_tokens=2048).answer(model, lambda: None)
    for sample in together:
        example = next(e for e in examples if e.messages[-1].content == sample.expected)
        prompt = torch.tensor([encoder.encode_prompt(example.messages[:-1])])
        ids = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=ANSWER_TOKENS,
            do_sample=False,
        )[0, prompt.shape[1] :].tolist()
        ends = [index for index, token in enumerate(ids) if token in encoder.end_ids]
        assert sample.answer == encoder.decode(ids[: ends[0]] if ends else ids)


def test_a_prompt_that_leaves_no_room_for_an_answer_is_not_chosen(tiny_model, model):
    encoder = ChatEncoder.load(tiny_model)
    long = Example.from_pair("7 " * 100, "8")
    probes = Probes([long, COUNTING[0]], encoder, seed=0, context_tokens=100)
    assert [sample.expected for sample in probes.answer(model, lambda: None)] == ["41"]
    assert Probes([long], encoder, seed=0, context_tokens=100).answer(model, lambda: None) == ()


def test_answering_changes_nothing_of_the_run(tiny_model, tmp_path):
    plain = TuningSettings(epochs=2, lora_dropout=0.3)
    watched = TuningSettings(epochs=2, lora_dropout=0.3, evaluate_every_steps=1)
    expected = losses(run(tiny_model, tmp_path / "plain", settings=plain))
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    assert losses(run(tiny_model, tmp_path / "watched", settings=watched)) == expected
    assert torch.random.get_rng_state().equal(state)


def test_each_examples_loss_is_that_of_its_last_step_worst_first(tiny_model, tmp_path):
    settings = TuningSettings(epochs=2, batch_size=1)
    events = run(tiny_model, tmp_path / "out", examples=COUNTING[:4], settings=settings)
    told = example_losses(events)
    last_epoch = [event.train_loss for event in events if isinstance(event, Step)][4:]
    assert sorted(index for index, _ in told) == [0, 1, 2, 3]
    assert [loss for _, loss in told] == pytest.approx(sorted(last_epoch, reverse=True), rel=1e-5)


def test_places_of_examples_are_those_before_long_ones_were_left_out(tiny_model, tmp_path):
    long = Example.from_pair("7 " * 200, "8")
    settings = TuningSettings(epochs=1, max_length_tokens=64)
    examples = [long, COUNTING[0], long, COUNTING[1]]
    events = run(tiny_model, tmp_path / "out", examples=examples, settings=settings)
    assert {index for index, _ in example_losses(events)} == {1, 3}


def test_an_example_that_occurs_twice_is_told_once(tiny_model, tmp_path):
    examples = [COUNTING[0], COUNTING[1], COUNTING[0]]
    settings = TuningSettings(epochs=1)
    events = run(tiny_model, tmp_path / "out", examples=examples, settings=settings)
    assert len(example_losses(events)) == 2


def test_at_most_a_hundred_examples_are_told(tiny_model, tmp_path):
    examples = [Example.from_pair(str(number), str(number + 1)) for number in range(120)]
    settings = TuningSettings(max_steps=4, batch_size=30)
    events = run(tiny_model, tmp_path / "out", examples=examples, settings=settings)
    assert len(example_losses(events)) == 100
    assert finished(events).step == 4


def test_a_step_tells_accuracy_and_memory(tiny_model, tmp_path):
    settings = TuningSettings(epochs=60, learning_rate=0.02)
    events = run(tiny_model, tmp_path / "out", examples=COUNTING[:2], settings=settings)
    steps = [event for event in events if isinstance(event, Step)]
    assert steps[0].token_accuracy < 0.5
    assert steps[-1].token_accuracy == 1.0
    assert all(50e6 < event.memory_bytes < 50e9 for event in steps)
