"""A model of a real one's shape with random weights: it says nonsense at the real one's speed.

The tokenizer and template are those of the tiny test model, so nothing is fetched.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers

from tuner.tiny import make_tiny_model

SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 400,
        "tie_word_embeddings": True,
    },
    "1.5B": {
        "model_type": "qwen2",
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "vocab_size": 151_936,
        "tie_word_embeddings": True,
    },
    "8B": {
        "model_type": "llama",
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128_256,
        "tie_word_embeddings": False,
    },
}
_CONTEXT_LENGTH_TOKENS = 8192


def make_random_model(shape: str, folder: Path, device: torch.device) -> Path:
    """Write the model of this shape into `folder`, in bfloat16."""
    make_tiny_model(folder)
    tiny = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    ends = {name: tiny[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    values = SHAPES[shape] | ends | {"max_position_embeddings": _CONTEXT_LENGTH_TOKENS}
    config = transformers.AutoConfig.for_model(**values)
    torch.manual_seed(0)
    with device:
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    return folder
