"""Make a small random chat model on disk, offline and at once: what tests and first trials tune.

A llama of two layers with a byte-level BPE tokenizer and a ChatML template, in Hugging Face
layout. It knows nothing and says nonsense until it is tuned.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

HIDDEN_SIZE = 64
LAYERS = 2
HEADS = 4
KEY_VALUE_HEADS = 2
INTERMEDIATE_SIZE = 128
CONTEXT_LENGTH_TOKENS = 2048
VOCABULARY_SIZE = 400

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_SENTENCES = (
    "user assistant system",
    "What is the next number? The next number after 41 is 42.",
    "one two three four five six seven eight nine ten eleven twelve",
    "0 1 2 3 4 5 6 7 8 9 10 20 30 40 50 60 70 80 90 100",
    "My order has not arrived and I would like my money back, please.",
    "The answer to the question is shipping, billing or account.",
)


def make_tiny_model(folder: Path, *, seed: int = 0) -> Path:
    """Write the model into `folder` and return it; the same seed gives the same files."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _make_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    pad, _, end = range(len(_SPECIAL_TOKENS))  # special tokens come first in the vocabulary
    _write_json(folder / "tokenizer_config.json", _tokenizer_config())
    _write_json(folder / "config.json", _model_config(end, pad))
    _write_json(
        folder / "generation_config.json",
        {"bos_token_id": pad, "eos_token_id": end, "pad_token_id": pad},
    )
    weights = folder / "model.safetensors"
    save_file(_random_weights(seed), str(weights), metadata={"format": "pt"})
    return folder


def _make_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[AddedToken(token, special=True) for token in _SPECIAL_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_SENTENCES, trainer)
    return tokenizer


def _tokenizer_config() -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|endoftext|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": CONTEXT_LENGTH_TOKENS,
        "chat_template": CHAT_TEMPLATE,
    }


def _model_config(end: int, pad: int) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN_SIZE,
        "intermediate_size": INTERMEDIATE_SIZE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_VALUE_HEADS,
        "head_dim": HIDDEN_SIZE // HEADS,
        "hidden_act": "silu",
        "max_position_embeddings": CONTEXT_LENGTH_TOKENS,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "vocab_size": VOCABULARY_SIZE,
        "bos_token_id": pad,
        "eos_token_id": end,
        "pad_token_id": pad,
        "torch_dtype": "float32",
    }


def _random_weights(seed: int) -> dict[str, NDArray[numpy.float32]]:
    generator = numpy.random.default_rng(seed)
    key_value_size = HIDDEN_SIZE // HEADS * KEY_VALUE_HEADS

    def matrix(rows: int, columns: int) -> NDArray[numpy.float32]:
        return generator.normal(0, columns**-0.5, (rows, columns)).astype(numpy.float32)

    weights = {"model.embed_tokens.weight": matrix(VOCABULARY_SIZE, HIDDEN_SIZE)}
    weights["model.norm.weight"] = numpy.ones(HIDDEN_SIZE, numpy.float32)
    for layer in range(LAYERS):
        name = f"model.layers.{layer}"
        weights[f"{name}.input_layernorm.weight"] = numpy.ones(HIDDEN_SIZE, numpy.float32)
        weights[f"{name}.post_attention_layernorm.weight"] = numpy.ones(HIDDEN_SIZE, numpy.float32)
        weights[f"{name}.self_attn.q_proj.weight"] = matrix(HIDDEN_SIZE, HIDDEN_SIZE)
        weights[f"{name}.self_attn.k_proj.weight"] = matrix(key_value_size, HIDDEN_SIZE)
        weights[f"{name}.self_attn.v_proj.weight"] = matrix(key_value_size, HIDDEN_SIZE)
        weights[f"{name}.self_attn.o_proj.weight"] = matrix(HIDDEN_SIZE, HIDDEN_SIZE)
        weights[f"{name}.mlp.gate_proj.weight"] = matrix(INTERMEDIATE_SIZE, HIDDEN_SIZE)
        weights[f"{name}.mlp.up_proj.weight"] = matrix(INTERMEDIATE_SIZE, HIDDEN_SIZE)
        weights[f"{name}.mlp.down_proj.weight"] = matrix(HIDDEN_SIZE, INTERMEDIATE_SIZE)
    return weights


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
