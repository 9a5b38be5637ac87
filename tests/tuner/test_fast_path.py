"""The fast path gives the plain path's loss and gradients, for every family that may take it."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from tests.tuner.making import CONVERSATION, COUNTING
from tuner.encode import ChatEncoder
from tuner.examples import Example, Message
from tuner.families import FAST_FAMILIES, layout
from tuner.fast.head import token_losses
from tuner.fast.model import FastDecoder, fits
from tuner.settings import TuningSettings
from tuner.supervised import Supervised

SYSTEM = Message("system", "Answer with the next number and nothing else.")
WITH_SYSTEM = [Example((SYSTEM, *example.messages)) for example in COUNTING[:3]]
MIXED = [CONVERSATION, *COUNTING[:3]]
LONG = [Example.from_pair("count " * 90, "7 " * 60), *COUNTING[:2]]
SAME_PROMPT = [Example.from_pair("a number", answer) for answer in ("1", "22", "1")]
LIMIT = 4096

# peft reads an attribute that transformers has since renamed.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:transformers")


@pytest.fixture
def encoder(tiny_model):
    return ChatEncoder.load(tiny_model)


def make_model(family, **changes):
    """A random model of two layers, its weights no neat numbers anywhere."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        family,
        vocab_size=400,
        hidden_size=48,
        intermediate_size=80,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=16,
        **changes,
    )
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    for weight in model.parameters():
        weight.data.add_(torch.randn_like(weight), alpha=0.05)
    return model


def with_adapter(model, **options):
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", **options)
    model = get_peft_model(model, config)
    for name, weight in model.named_parameters():
        if "lora_B" in name:  # which starts at zero, and would hide the other half's gradient
            torch.nn.init.normal_(weight, std=0.1)
    return model


def step(model, encoder, examples, decoder, limit=LIMIT):
    encoded = [encoder.encode_example(example) for example in examples]
    objective = Supervised(
        encoded, pad_id=encoder.pad_id, micro_batch_tokens=limit, decoder=decoder
    )
    model.zero_grad()
    loss = objective.step(model, range(len(examples)))
    gradients = [weight.grad for weight in model.parameters() if weight.requires_grad]
    return loss, torch.cat([gradient.flatten() for gradient in gradients])


def assert_equal(model, encoder, examples, *, limit=LIMIT, checkpointing=False):
    decoder = FastDecoder(model, torch.float32, checkpointing=checkpointing)
    plain, plain_gradient = step(model, encoder, examples, None)
    fast, fast_gradient = step(model, encoder, examples, decoder, limit)
    assert fast.mean == pytest.approx(plain.mean, rel=1e-5)
    assert fast.per_example == pytest.approx(plain.per_example, rel=1e-4)
    assert (fast.answers, fast.correct, fast.tokens) == (plain.answers, plain.correct, plain.tokens)
    assert (fast_gradient - plain_gradient).norm() < 1e-4 * plain_gradient.norm()


@pytest.mark.parametrize("examples", [WITH_SYSTEM, MIXED, LONG, SAME_PROMPT, COUNTING[:1]])
@pytest.mark.parametrize("family", sorted(FAST_FAMILIES))
def test_a_step_on_an_adapter_equals_the_plain_one(family, encoder, examples):
    assert_equal(with_adapter(make_model(family)), encoder, examples)


@pytest.mark.parametrize("family", sorted(FAST_FAMILIES))
def test_a_step_on_all_weights_equals_the_plain_one(family, encoder):
    assert_equal(make_model(family, tie_word_embeddings=True).train(), encoder, MIXED)


def test_biases_are_tuned_too(encoder):
    assert_equal(make_model("llama", attention_bias=True), encoder, MIXED)


@pytest.mark.parametrize("layers", ["q_proj", "down_proj|o_proj", "k_proj|up_proj"])
def test_adapters_on_some_layers_alone_equal_the_plain_ones(encoder, layers):
    model = make_model("llama")
    config = LoraConfig(r=4, target_modules=rf".*({layers})", use_rslora=True)
    assert_equal(get_peft_model(model, config), encoder, MIXED)


def test_portions_and_recomputed_activations_change_nothing(encoder):
    model = with_adapter(make_model("llama"))
    assert_equal(model, encoder, LONG + MIXED, limit=100, checkpointing=True)


def test_an_evaluation_equals_the_plain_one_and_drops_nothing_out(encoder):
    model = with_adapter(make_model("llama"), lora_dropout=0.5).eval()
    encoded = [encoder.encode_example(example) for example in MIXED]
    decoder = FastDecoder(model, torch.float32)
    results = [
        Supervised(encoded, pad_id=0, micro_batch_tokens=LIMIT, decoder=which).evaluate(
            model, lambda: None
        )
        for which in (None, decoder)
    ]
    assert results[0].mean == pytest.approx(results[1].mean, rel=1e-5)


def test_dropout_blanks_at_random_and_keeps_the_mean(encoder):
    model = with_adapter(make_model("llama"), lora_dropout=0.2).train()
    decoder = FastDecoder(model, torch.float32)
    losses = []
    for seed in range(40):
        torch.manual_seed(seed)
        losses.append(step(model, encoder, MIXED, decoder)[0].mean)
    without, _ = step(model.eval(), encoder, MIXED, FastDecoder(model, torch.float32))
    assert len(set(losses)) == 40
    assert sum(losses) / 40 == pytest.approx(without.mean, rel=0.02)


def test_the_same_random_state_gives_the_same_dropout(encoder):
    model = with_adapter(make_model("llama"), lora_dropout=0.2).train()
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(7)
        decoder = FastDecoder(model, torch.float32, checkpointing=checkpointing)
        gradients.append(step(model, encoder, MIXED, decoder)[1])
    assert torch.equal(*gradients)


def test_bfloat16_stays_near_float32(encoder):
    model = with_adapter(make_model("llama"))
    exact, exact_gradient = step(model, encoder, LONG, FastDecoder(model, torch.float32))
    near, near_gradient = step(model, encoder, LONG, FastDecoder(model, torch.bfloat16))
    assert near.mean == pytest.approx(exact.mean, rel=0.01)
    assert (near_gradient - exact_gradient).norm() < 0.05 * exact_gradient.norm()


def test_the_head_in_portions_equals_the_head_at_once(monkeypatch):
    monkeypatch.setattr("tuner.fast.head._PORTION_ELEMENTS", 3 * 50)
    torch.manual_seed(0)
    rows, weight = torch.randn(10, 8, requires_grad=True), torch.randn(50, 8, requires_grad=True)
    targets = torch.randint(50, (10,))
    losses, correct = token_losses(rows, weight, targets)
    expected = torch.nn.functional.cross_entropy(rows @ weight.t(), targets, reduction="none")
    assert torch.allclose(losses, expected, rtol=1e-5)
    assert torch.equal(correct, (rows @ weight.t()).argmax(dim=1) == targets)
    mine = torch.autograd.grad(losses.sum() * 0.5, (rows, weight))
    theirs = torch.autograd.grad(expected.sum() * 0.5, (rows, weight))
    assert all(
        torch.allclose(*pair, rtol=1e-4, atol=1e-6) for pair in zip(mine, theirs, strict=True)
    )


def test_a_window_shorter_than_the_examples_is_left_to_the_plain_path():
    model = make_model("mistral", sliding_window=64)
    assert fits(model, 64)
    assert not fits(model, 65)


def test_an_unproven_family_and_dora_are_padded():
    assert layout("gemma2", TuningSettings()) == "padded"
    assert layout("llama", TuningSettings(use_dora=True)) == "padded"
    assert layout("llama", TuningSettings()) == "packed"
