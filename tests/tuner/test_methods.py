"""Every method tunes, is saved, and comes back from its files as it was."""

from __future__ import annotations

import json
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from tests.tuner.making import COUNTING, losses, run
from tuner.adapter import load_adapter_weights, prepare_model
from tuner.convert import check_base_model
from tuner.encode import ChatEncoder
from tuner.errors import SettingsError
from tuner.settings import TuningSettings

# peft reads an attribute that transformers has since renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")

CPU = torch.device("cpu")
ADAPTERS: dict[str, dict[str, Any]] = {
    "rsLoRA": {"use_rslora": True, "lora_rank": 16},
    "DoRA": {"use_dora": True},
    "attention": {"lora_layers": "attention"},
    "two names": {"lora_layers": "up_proj, o_proj"},
}


def ids_of(base, example=COUNTING[0]):
    return torch.tensor([ChatEncoder.load(base).encode_example(example).ids])


@torch.no_grad()
def logits(model, ids):
    return model.eval()(ids).logits


@pytest.mark.parametrize("kind", ADAPTERS)
def test_stock_peft_answers_as_every_kind_of_adapter_was_tuned(tiny_model, tmp_path, kind):
    settings = TuningSettings(epochs=4, learning_rate=0.01, **ADAPTERS[kind])
    curve = losses(run(tiny_model, tmp_path / "out", settings=settings))
    assert curve[-1] < curve[0]
    stock = peft.PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tiny_model), tmp_path / "out"
    )
    ours = prepare_model(tiny_model, settings, "float32", CPU)
    load_adapter_weights(ours, tmp_path / "out")
    ids = ids_of(tiny_model)
    assert torch.equal(logits(stock, ids), logits(ours, ids))


@pytest.mark.parametrize("kind", ["rsLoRA", "DoRA"])
def test_its_switches_make_the_adapter_that_stock_peft_makes(tiny_model, kind):
    settings = TuningSettings(lora_alpha=4, lora_dropout=0.0, **ADAPTERS[kind])
    ours = prepare_model(tiny_model, settings, "float32", CPU)
    config = peft.LoraConfig(
        r=settings.lora_rank,
        lora_alpha=4,
        use_rslora=settings.use_rslora,
        use_dora=settings.use_dora,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    torch.manual_seed(settings.seed)
    stock = peft.get_peft_model(base, config)
    ids = ids_of(tiny_model)
    for model in (ours, stock):
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "lora_B" in name:  # zero at the start: the adapter would change nothing
                    weight.fill_(0.01)
        model(input_ids=ids, labels=ids).loss.backward()
    assert torch.equal(logits(stock, ids), logits(ours, ids))
    theirs = dict(stock.named_parameters())
    for name, weight in ours.named_parameters():
        assert weight.requires_grad == theirs[name].requires_grad
        if weight.requires_grad:
            assert weight.grad.equal(theirs[name].grad), name


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("all", {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}),
        ("attention", {"q_proj", "k_proj", "v_proj", "o_proj"}),
        ("mlp", {"gate_proj", "up_proj", "down_proj"}),
        ("attention, down_proj", {"q_proj", "k_proj", "v_proj", "o_proj", "down_proj"}),
        ("layers.1.mlp.up_proj", {"layers.1.mlp.up_proj"}),
    ],
)
def test_an_adapter_sits_on_the_layers_that_were_chosen(tiny_model, layers, expected):
    model = prepare_model(tiny_model, TuningSettings(lora_layers=layers), "float32", CPU)
    weights = [name for name, _ in model.named_parameters() if ".lora_A." in name]
    paths = {name.partition(".lora_A.")[0] for name in weights}
    assert {name for name in expected for path in paths if path.endswith(f".{name}")} == expected
    assert len(paths) == (1 if "." in layers else 2 * len(expected))


def test_a_layer_that_the_base_does_not_have_is_named_with_those_it_has(tiny_model):
    with pytest.raises(SettingsError, match=r"no linear layer 'c_attn'.*from its own: down_proj"):
        prepare_model(tiny_model, TuningSettings(lora_layers="q_proj, c_attn"), "float32", CPU)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_full_tuning_leaves_a_whole_model_that_transformers_loads(tiny_model, tmp_path, precision):
    settings = TuningSettings(
        method="full", epochs=8, learning_rate=0.003, lora_layers="all", precision=precision
    )
    out = tmp_path / "out"
    curve = losses(run(tiny_model, out, settings=settings))
    assert curve[-1] < curve[0] / 2
    facts = check_base_model(out)
    assert facts.stored_precision == {"float32": "F32", "bfloat16": "BF16"}[precision]
    assert facts.parameters == check_base_model(tiny_model).parameters
    assert ChatEncoder.load(out).encode_prompt(COUNTING[0].messages[:1])
    assert TuningSettings.from_dict(json.loads((out / "settings.json").read_text())["settings"])
    before, after = (
        load_file(tiny_model / "model.safetensors"),
        load_file(out / "model.safetensors"),
    )
    assert before.keys() == after.keys()
    assert not any(before[name].equal(after[name].float()) for name in before)
    stock = AutoModelForCausalLM.from_pretrained(out)
    assert stock.lm_head.weight is stock.model.embed_tokens.weight
    assert logits(stock, ids_of(out)).isfinite().all()


def test_bfloat16_steps_are_not_lost_in_its_rounding(tiny_model, tmp_path):
    falls = []
    for precision in ("float32", "bfloat16"):
        # So small that each step alone would be rounded away.
        settings = TuningSettings(
            method="full", epochs=8, learning_rate=3e-5, precision=precision, schedule="constant"
        )
        curve = losses(run(tiny_model, tmp_path / precision, settings=settings))
        falls.append(sum(curve[:3]) - sum(curve[-3:]))
    exact, rounded = falls
    assert exact > 0.1
    assert rounded == pytest.approx(exact, rel=0.2)


def test_full_tuning_trains_every_weight_once(tiny_model):
    model = prepare_model(tiny_model, TuningSettings(method="full"), "float32", CPU)
    facts = check_base_model(tiny_model)
    assert sum(weight.numel() for weight in model.parameters()) == facts.parameters
    assert all(weight.requires_grad for weight in model.parameters())
