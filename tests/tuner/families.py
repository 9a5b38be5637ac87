"""One tiny random model of every family that is claimed to tune, made offline by transformers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
import transformers

_SIZES: dict[str, Any] = {
    "vocab_size": 400,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_HEAD = {"head_dim": 16}
_EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}
_WINDOW = {"sliding_window": 8}
_GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512, "vocab_size": 400}
_TOKENS = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0}

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": _SIZES | {"tie_word_embeddings": True},
    "qwen2": _SIZES,
    "qwen3": _SIZES | _HEAD,
    "gemma2": _SIZES | _HEAD | _WINDOW | {"attn_logit_softcapping": 0.5},
    "gemma3_text": _SIZES | _HEAD | _WINDOW,
    "mistral": _SIZES | _WINDOW,
    "phi3": _SIZES,
    "gpt2": _GPT2 | _TOKENS,
    "gpt_neox": {name: size for name, size in _SIZES.items() if name != "num_key_value_heads"},
    "olmo2": _SIZES,
    "qwen3_moe": _SIZES | _HEAD | _EXPERTS | {"num_experts": 4},
    "mixtral": _SIZES | {"num_local_experts": 4, "num_experts_per_tok": 2},
}


def make_family_model(family: str, folder: Path, tiny_model: Path) -> Path:
    """A model of this family in `folder`, with the tiny model's tokenizer."""
    # Wider than usual, so that a few steps of a small adapter move something.
    config = transformers.AutoConfig.for_model(family, initializer_range=0.15, **FAMILIES[family])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tiny_model / name, folder / name)
    return folder
