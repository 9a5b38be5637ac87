"""Every family tunes, is saved, comes back in stock peft and transformers, and answers."""

from __future__ import annotations

import json

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.tuner.families import FAMILIES, make_family_model
from tests.tuner.making import COUNTING, losses, run
from tuner.adapter import load_adapter_weights, prepare_model
from tuner.convert import check_base_model
from tuner.encode import ChatEncoder
from tuner.examples import Message
from tuner.generate import Engine, Request
from tuner.sampling import Sampling
from tuner.settings import TuningSettings

# peft reads an attribute that transformers has since renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")

SETTINGS = TuningSettings(epochs=5, learning_rate=0.02, lora_rank=4, precision="float32")
CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=FAMILIES)
def base(request, tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param) / request.param
    return make_family_model(request.param, folder, tiny_model)


@pytest.fixture(scope="module")
def tuned(base, tmp_path_factory):
    """(losses, the adapter's folder)"""
    folder = tmp_path_factory.mktemp("tuned") / "out"
    return losses(run(base, folder, settings=SETTINGS)), folder


@torch.no_grad()
def logits(model, base):
    ids = torch.tensor([ChatEncoder.load(base).encode_example(COUNTING[0]).ids])
    return model.eval()(ids).logits


def stock(base, adapter):
    return peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)


def test_its_facts_can_be_read_without_loading_it(base):
    facts = check_base_model(base)
    config = json.loads((base / "config.json").read_text())
    assert (facts.family, facts.layers, facts.hidden_size) == (config["model_type"], 2, 32)
    assert (facts.context_length_tokens, facts.vocabulary_size) == (512, 400)
    assert facts.parameters == AutoModelForCausalLM.from_pretrained(base).num_parameters()


def test_the_loss_falls(tuned):
    curve, _ = tuned
    assert sum(curve[-3:]) < 0.8 * sum(curve[:3])


def test_stock_peft_loads_the_adapter_with_identical_logits(base, tuned):
    ours = prepare_model(base, SETTINGS, "float32", CPU)
    load_adapter_weights(ours, tuned[1])
    expected = logits(ours, base)
    assert torch.equal(logits(stock(base, tuned[1]), base), expected)
    assert not torch.equal(logits(AutoModelForCausalLM.from_pretrained(base), base), expected)


def test_bfloat16_computes_what_the_family_means(base):
    exact, rounded = (
        logits(prepare_model(base, SETTINGS, precision, CPU), base).float().flatten()
        for precision in ("float32", "bfloat16")
    )
    assert torch.cosine_similarity(exact, rounded, dim=0) > 0.99


def test_it_answers_as_stock_peft_does(base, tuned):
    prompt = (Message("user", "44"),)
    engine = Engine.load(base, dtype=torch.float32, thread_count=lambda: 1)
    try:
        engine.load_adapter("tuned", tuned[1])
        sampling = Sampling(temperature=0, max_tokens=8)
        stream = engine.submit(Request(messages=prompt, adapter="tuned", sampling=sampling))
        answer = "".join(stream)
    finally:
        engine.close()
    encoder = ChatEncoder.load(base)
    ids = torch.tensor([encoder.encode_prompt(prompt)])
    model = stock(base, tuned[1]).eval()
    made = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=8,
        do_sample=False,
        eos_token_id=sorted(encoder.end_ids),
        pad_token_id=0,
    )
    # A character whose last bytes are still to come is not shown.
    assert answer == encoder.decode(made[0, ids.shape[1] :].tolist()).rstrip("\ufffd")


def test_full_tuning_leaves_a_whole_model_of_the_family(base, tmp_path):
    settings = TuningSettings(method="full", epochs=3, learning_rate=0.005, precision="float32")
    curve = losses(run(base, tmp_path / "out", settings=settings))
    assert sum(curve[-3:]) < sum(curve[:3])
    before, after = check_base_model(base), check_base_model(tmp_path / "out")
    assert (after.parameters, after.family) == (before.parameters, before.family)
    whole = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert logits(whole, base).isfinite().all()
    assert not torch.allclose(
        logits(whole, base), logits(AutoModelForCausalLM.from_pretrained(base), base)
    )
