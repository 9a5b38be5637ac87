"""The adapter's folder: complete, peft's own, and enough to answer with later."""

from __future__ import annotations

import json

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.tuner.making import COUNTING, run
from tuner.adapter import load_adapter_weights
from tuner.encode import ChatEncoder
from tuner.job import Job
from tuner.run import Run
from tuner.settings import TuningSettings

# peft reads an attribute that transformers has since renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")

FILES = {
    "adapter_config.json",
    "adapter_model.safetensors",
    "chat_template.jinja",
    "generation_config.json",
    "settings.json",
    "tokenizer.json",
    "tokenizer_config.json",
}
SETTINGS = TuningSettings(epochs=2, learning_rate=0.02, lora_rank=4)


@pytest.fixture(scope="module")
def adapter(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter") / "out"
    run(tiny_model, folder, settings=SETTINGS)
    return folder


def test_the_folder_holds_exactly_these_files(adapter):
    assert {path.name for path in adapter.iterdir()} == FILES
    assert [path.name for path in adapter.parent.iterdir()] == ["out"]


def test_stock_peft_loads_it_with_identical_logits(tiny_model, adapter):
    stock = peft.PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tiny_model), adapter
    ).eval()
    job = Job(SETTINGS, COUNTING, [], tiny_model, None, None)
    ours = Run(job, None).model.eval()
    load_adapter_weights(ours, adapter)
    ids = torch.tensor([job.encoder.encode_example(COUNTING[0]).ids])
    with torch.no_grad():
        assert torch.equal(stock(ids).logits, ours(ids).logits)
        with stock.disable_adapter():
            assert not torch.equal(stock(ids).logits, ours(ids).logits)


def test_the_template_and_tokenizer_travel_with_the_adapter(tiny_model, adapter):
    messages = COUNTING[0].messages[:1]
    expected = ChatEncoder.load(tiny_model).encode_prompt(messages)
    assert ChatEncoder.load(adapter).encode_prompt(messages) == expected


def test_the_settings_are_kept_with_the_versions_that_used_them(tiny_model, adapter):
    kept = json.loads((adapter / "settings.json").read_text())
    assert TuningSettings.from_dict(kept["settings"]) == SETTINGS
    assert kept["base"] == tiny_model.name
    assert set(kept["versions"]) == {"torch", "transformers", "peft"}


def test_the_configuration_is_the_same_every_time(adapter, tiny_model, tmp_path):
    run(tiny_model, tmp_path / "again", settings=SETTINGS)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (adapter / name).read_bytes()
