"""A job that starts from a tuned model: continued, or stacked on it and saved as one adapter."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import cosine_similarity
from transformers import AutoModelForCausalLM

from tests.tuner.making import COUNTING, run
from tuner.adapter import model_files, prepare_model
from tuner.encode import ChatEncoder
from tuner.errors import AdapterError
from tuner.settings import TuningSettings
from tuner.start import check_start
from tuner.storage import write_folder
from tuner.tiny import make_tiny_model

# peft reads an attribute that transformers has since renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")

CPU = torch.device("cpu")
SETTINGS = TuningSettings(epochs=4, learning_rate=0.02, lora_rank=4, lora_layers="attention")


@pytest.fixture(scope="module")
def first(tiny_model, tmp_path_factory):
    """An adapter that learned to count."""
    folder = tmp_path_factory.mktemp("first") / "out"
    run(tiny_model, folder, settings=SETTINGS)
    return folder


@torch.no_grad()
def logits(model, base):
    ids = torch.tensor([ChatEncoder.load(base).encode_example(COUNTING[3]).ids])
    return model.eval()(ids).logits


def stock(base, adapter):
    return peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)


def start(base, folder, mode, settings=SETTINGS):
    return prepare_model(base, settings, "float32", CPU, start_from=folder, start_mode=mode)


def move(model):
    """As if steps had been taken: the fresh half that starts at zero now changes something."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.add_(0.02)


@pytest.mark.parametrize("mode", ["continue", "stack"])
def test_the_first_answer_is_that_of_the_model_started_from(tiny_model, first, mode):
    expected = logits(stock(tiny_model, first), tiny_model)
    assert torch.allclose(logits(start(tiny_model, first, mode), tiny_model), expected, atol=1e-5)


def test_a_continued_adapter_keeps_its_shape_and_changes(tiny_model, first, tmp_path):
    model = start(tiny_model, first, "continue")
    move(model)
    write_folder(tmp_path / "out", model_files(model, SETTINGS, tiny_model))
    before, after = (
        load_file(folder / "adapter_model.safetensors") for folder in (first, tmp_path / "out")
    )
    assert before.keys() == after.keys()
    assert all(before[name].shape == after[name].shape for name in before)
    tuned = logits(model, tiny_model)
    assert torch.equal(logits(stock(tiny_model, tmp_path / "out"), tiny_model), tuned)


@pytest.mark.parametrize(
    "chosen",
    [
        SETTINGS,
        TuningSettings(lora_rank=3, lora_alpha=5, lora_layers="all"),
        TuningSettings(lora_rank=16, use_rslora=True, lora_layers="mlp"),
    ],
    ids=["alike", "other size on more layers", "rsLoRA on others"],
)
def test_a_stack_is_saved_as_one_adapter_on_the_base_itself(tiny_model, first, tmp_path, chosen):
    model = start(tiny_model, first, "stack", chosen)
    move(model)
    write_folder(tmp_path / "out", model_files(model, chosen, tiny_model))
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert config["r"] == SETTINGS.lora_rank + chosen.lora_rank
    tuned, saved = (
        logits(model, tiny_model),
        logits(stock(tiny_model, tmp_path / "out"), tiny_model),
    )
    assert torch.allclose(saved, tuned, atol=1e-4)
    assert not torch.allclose(saved, logits(stock(tiny_model, first), tiny_model), atol=1e-2)


def test_a_stack_can_be_started_from_again(tiny_model, first, tmp_path):
    model = start(tiny_model, first, "stack")
    move(model)
    write_folder(tmp_path / "two", model_files(model, SETTINGS, tiny_model))
    third = start(tiny_model, tmp_path / "two", "stack")
    assert torch.allclose(logits(third, tiny_model), logits(model, tiny_model), atol=1e-4)


def test_in_bfloat16_a_stack_stays_close_to_what_was_tuned(tiny_model, first, tmp_path):
    model = prepare_model(
        tiny_model, SETTINGS, "bfloat16", CPU, start_from=first, start_mode="stack"
    )
    move(model)
    write_folder(tmp_path / "out", model_files(model, SETTINGS, tiny_model))
    tuned = logits(model, tiny_model).float()
    saved = logits(stock(tiny_model, tmp_path / "out"), tiny_model)
    assert cosine_similarity(tuned.flatten(), saved.flatten(), dim=0) > 0.999


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "another size": ("continue", {"lora_rank": 8}, "Set the adapter size to 4, or stack"),
    "another alpha": ("continue", {"lora_alpha": 3}, "Leave alpha empty"),
    "DoRA begun later": ("continue", {"use_dora": True}, "without DoRA. Switch it off"),
    "rsLoRA begun later": ("continue", {"use_rslora": True}, "without rsLoRA. Switch it off"),
    "DoRA on a stack": ("stack", {"use_dora": True}, "DoRA cannot be one of a stack"),
    "4 bits under a stack": ("stack", {"method": "qlora"}, "cannot be merged into a 4-bit base"),
    "full tuning": ("continue", {"method": "full"}, "Full tuning cannot start from an adapter"),
    "a third way": ("beside", {}, "by continue or stack, not beside"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_settings_that_cannot_go_on_from_an_adapter_are_refused(tiny_model, first, case):
    mode, changes, reason = REFUSED[case]
    with pytest.raises(AdapterError, match=reason):
        check_start(first, mode, replace(SETTINGS, **changes), tiny_model)


def test_an_adapter_of_another_base_is_refused_by_name(first, tmp_path):
    other = make_tiny_model(tmp_path / "other", seed=1)
    with pytest.raises(AdapterError, match=r"another base model \(tiny\)"):
        check_start(first, "continue", SETTINGS, other)


@pytest.mark.parametrize("mode", ["continue", "stack"])
def test_an_adapter_that_does_not_fit_is_refused_when_nothing_says_its_base(
    tiny_model, first, tmp_path, mode
):
    folder = shutil.copytree(first, tmp_path / "adapter")
    (folder / "settings.json").unlink()
    weights = load_file(folder / "adapter_model.safetensors")
    wider = {
        name: weight.repeat(1, 2).contiguous() if ".lora_A." in name else weight
        for name, weight in weights.items()
    }
    save_file(wider, folder / "adapter_model.safetensors")
    with pytest.raises(AdapterError, match="for another base model"):
        start(tiny_model, folder, mode)


def test_other_layers_are_refused(tiny_model, first):
    with pytest.raises(AdapterError, match="sits on other layers"):
        start(tiny_model, first, "continue", replace(SETTINGS, lora_layers="all"))


def test_a_damaged_adapter_is_refused(tiny_model, first, tmp_path):
    folder = shutil.copytree(first, tmp_path / "adapter")
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:300])
    for mode in ("continue", "stack"):
        with pytest.raises(AdapterError, match=r"adapter_model.safetensors (is damaged|cannot be)"):
            start(tiny_model, folder, mode)
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(AdapterError, match="is damaged"):
        check_start(folder, "continue", SETTINGS, tiny_model)


def test_a_whole_tuned_model_is_a_base_like_any_other(tiny_model, tmp_path):
    whole = tmp_path / "whole"
    run(tiny_model, whole, settings=TuningSettings(method="full", epochs=1))
    run(whole, tmp_path / "adapter", settings=TuningSettings(epochs=1))
    expected = logits(stock(whole, tmp_path / "adapter"), whole)
    assert expected.isfinite().all()
