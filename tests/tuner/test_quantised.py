"""An adapter on a base in four bits: tuned here for real, and used on the base itself."""

from __future__ import annotations

import subprocess
import sys

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.tuner.families import make_family_model
from tests.tuner.making import COUNTING, losses, run
from tuner import methods
from tuner.adapter import prepare_model
from tuner.convert import read_facts
from tuner.encode import ChatEncoder
from tuner.errors import ModelError, SettingsError
from tuner.methods import check_method
from tuner.quantised import check_device
from tuner.settings import TuningSettings

pytestmark = [
    # peft reads an attribute that transformers has since renamed.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning"),
]
QLORA = TuningSettings(method="qlora", epochs=6, learning_rate=0.02)
CPU = torch.device("cpu")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_adapter_on_four_bits_learns_and_stock_peft_loads_it(tiny_model, tmp_path, precision):
    settings = TuningSettings(**QLORA.as_dict() | {"precision": precision})
    curve = losses(run(tiny_model, tmp_path / "out", settings=settings))
    assert curve[-1] < curve[0] / 2
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    model = peft.PeftModel.from_pretrained(base, tmp_path / "out").eval()
    ids = torch.tensor([ChatEncoder.load(tiny_model).encode_example(COUNTING[0]).ids])
    with torch.no_grad():
        assert model(input_ids=ids, labels=ids).loss.isfinite()


def test_only_the_linear_layers_are_packed_and_only_the_adapter_learns(tiny_model):
    model = prepare_model(tiny_model, QLORA, "float32", CPU)
    packed = {name for name, weight in model.named_parameters() if weight.dtype == torch.uint8}
    assert len(packed) == 14
    assert all(name.endswith("base_layer.weight") for name in packed)
    assert all(
        (".lora_" in name) == weight.requires_grad for name, weight in model.named_parameters()
    )
    (state,) = {
        (weight.quant_state.quant_type, weight.quant_state.nested)
        for weight in model.parameters()
        if weight.dtype == torch.uint8
    }
    assert state == ("nf4", True)


@torch.no_grad()
def test_answering_in_between_leaves_the_packed_weights_as_they_are(tiny_model):
    model = prepare_model(tiny_model, QLORA, "bfloat16", CPU)
    ids = torch.tensor([ChatEncoder.load(tiny_model).encode_example(COUNTING[0]).ids])
    packed = {
        name: weight.clone()
        for name, weight in model.named_parameters()
        if not weight.is_floating_point()
    }
    expected = model.train()(ids).logits
    assert torch.equal(model.eval()(ids).logits, expected)
    assert torch.equal(model.train()(ids).logits, expected)
    assert all(model.get_parameter(name).equal(weight) for name, weight in packed.items())


def test_a_machine_without_the_package_is_told_before_the_job(tiny_model, monkeypatch):
    facts = read_facts(tiny_model)
    check_method(QLORA, facts)
    monkeypatch.setattr(methods, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"needs the package bitsandbytes.*choose the method"):
        check_method(QLORA, facts)
    check_method(TuningSettings(), facts)


def test_a_device_that_cannot_compute_it_ends_in_a_sentence():
    with pytest.raises(ModelError, match=r"QLoRA cannot run on this machine \(.*Choose the method"):
        check_device(torch.device("meta"))


def test_a_width_that_a_processor_unpacks_wrongly_is_refused(tiny_model, tmp_path):
    base = make_family_model("llama", tmp_path / "narrow", tiny_model)
    with pytest.raises(ModelError, match=r"multiple of 64; this base model has one of 32\. Choose"):
        prepare_model(base, QLORA, "float32", CPU)


def test_other_jobs_do_not_wait_for_its_package(tiny_model, tmp_path):
    script = """
import sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
import jobs.warm
from tests.tuner.families import make_family_model
from tests.tuner.making import run
from tuner.settings import TuningSettings
run(Path(sys.argv[1]), Path(sys.argv[2]), settings=TuningSettings(epochs=1))
print("bitsandbytes" in sys.modules)
run(Path(sys.argv[1]), Path(sys.argv[3]), settings=TuningSettings(epochs=1, method="qlora"))
print("bitsandbytes" in sys.modules)
"""
    command = [sys.executable, "-c", script, tiny_model, tmp_path / "plain", tmp_path / "packed"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
