"""Read a llama-family GGUF file as the parts of a Hugging Face folder.

Weights are dequantised one at a time; configuration and tokenizer come from the file's own keys.
Knows the two formats and nothing of where files lie. Another architecture or tokenizer than those
named here is refused: a guess would tune well and answer nonsense.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
from gguf import GGUFReader, ReaderTensor
from gguf.quants import dequantize
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from tuner.errors import ModelError

_OUTER_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_CONTROL_TOKEN, _USER_DEFINED_TOKEN = 3, 4


class GgufModel:
    """An open GGUF file of a llama-family model."""

    def __init__(self, path: Path) -> None:
        try:
            self._reader = GGUFReader(path)
        except (OSError, ValueError, IndexError, KeyError, OverflowError) as error:
            raise ModelError(f"{path} is not a readable GGUF file: {error}.") from None
        architecture = self._value("general.architecture")
        if architecture != "llama":
            raise ModelError(
                f"GGUF files of the {architecture} family cannot be converted, only llama. "
                "Add the model from its Hugging Face folder instead."
            )

    @property
    def tensor_count(self) -> int:
        return len(self._reader.tensors)

    def tensors(self) -> Iterator[tuple[str, NDArray[numpy.float32]]]:
        """Name in Hugging Face's layout and values, in the order of the file."""
        for tensor in self._reader.tensors:
            name = _hugging_face_name(tensor.name)
            if name is not None:
                yield name, self._values(tensor)

    def _values(self, tensor: ReaderTensor) -> NDArray[numpy.float32]:
        values: NDArray[numpy.float32] = dequantize(tensor.data, tensor.tensor_type)
        if tensor.name.endswith("attn_q.weight"):
            return _rotary_halves_apart(values, self._number("llama.attention.head_count"))
        if tensor.name.endswith("attn_k.weight"):
            return _rotary_halves_apart(values, self._number("llama.attention.head_count_kv"))
        return values

    def config(self) -> dict[str, Any]:
        names = {tensor.name for tensor in self._reader.tensors}
        hidden_size = self._number("llama.embedding_length")
        heads = self._number("llama.attention.head_count")
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": hidden_size,
            "intermediate_size": self._number("llama.feed_forward_length"),
            "num_hidden_layers": self._number("llama.block_count"),
            "num_attention_heads": heads,
            "num_key_value_heads": self._number("llama.attention.head_count_kv"),
            "head_dim": hidden_size // heads,
            "hidden_act": "silu",
            "max_position_embeddings": self._number("llama.context_length"),
            # Stored as a 32-bit float: 1e-5 comes out as 9.99999974e-06 without the rounding.
            "rms_norm_eps": float(f"{self._value('llama.attention.layer_norm_rms_epsilon'):.6g}"),
            "rope_theta": float(self._value("llama.rope.freq_base", 10000.0)),
            "tie_word_embeddings": "output.weight" not in names,
            "vocab_size": len(self._value("tokenizer.ggml.tokens")),
            **self.generation_config(),
            "torch_dtype": "bfloat16",
        }

    def generation_config(self) -> dict[str, Any]:
        names = {"bos_token_id": "bos", "eos_token_id": "eos", "pad_token_id": "padding"}
        found = {
            name: self._value(f"tokenizer.ggml.{key}_token_id", None) for name, key in names.items()
        }
        return {name: int(token) for name, token in found.items() if token is not None}

    def tokenizer(self) -> Tokenizer:
        kind = self._value("tokenizer.ggml.model"), self._value("tokenizer.ggml.pre", "default")
        if kind[0] != "gpt2" or kind[1] not in ("smollm", "default", "gpt-2"):
            raise ModelError(
                f"The GGUF file's tokenizer ({kind[0]}, {kind[1]}) cannot be converted. "
                "Add the model from its Hugging Face folder instead."
            )
        tokens = self._value("tokenizer.ggml.tokens")
        merges = [tuple(merge.split(" ", 1)) for merge in self._value("tokenizer.ggml.merges")]
        vocabulary = {token: index for index, token in enumerate(tokens)}
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
        digits = [pre_tokenizers.Digits(individual_digits=True)] if kind[1] == "smollm" else []
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*digits, byte_level])
        tokenizer.decoder = decoders.ByteLevel()
        types = self._value("tokenizer.ggml.token_type")
        for token, token_type in zip(tokens, types, strict=True):
            if token_type in (_CONTROL_TOKEN, _USER_DEFINED_TOKEN):
                special = bool(token_type == _CONTROL_TOKEN)
                tokenizer.add_tokens([AddedToken(token, special=special, normalized=False)])
        return tokenizer

    def tokenizer_config(self) -> dict[str, Any]:
        template = self._value("tokenizer.chat_template", None)
        if template is None:
            raise ModelError("The GGUF file has no chat template. Choose a model made for chat.")
        tokens = self._value("tokenizer.ggml.tokens")
        special = {
            f"{name.removesuffix('_id')}": tokens[token]
            for name, token in self.generation_config().items()
        }
        return {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            "model_max_length": self._number("llama.context_length"),
            **special,
            "chat_template": template,
        }

    def _number(self, key: str) -> int:
        return int(self._value(key))

    def _value(self, key: str, *default: Any) -> Any:
        field = self._reader.get_field(key)
        if field is not None:
            return field.contents()
        if default:
            return default[0]
        raise ModelError(f"The GGUF file lacks {key}. Fetch it again or choose another model.")


def _hugging_face_name(name: str) -> str | None:
    if name == "rope_freqs.weight":
        return None  # computed from the configuration
    if name in _OUTER_NAMES:
        return _OUTER_NAMES[name]
    _, layer, part, *rest = name.split(".")
    if part not in _LAYER_NAMES or rest != ["weight"]:
        raise ModelError(f"The GGUF file holds an unknown tensor, {name}. Choose another model.")
    return f"model.layers.{layer}.{_LAYER_NAMES[part]}.weight"


def _rotary_halves_apart(values: NDArray[numpy.float32], heads: int) -> NDArray[numpy.float32]:
    """GGUF interleaves the halves that rotary embedding pairs; Hugging Face does not."""
    rows, columns = values.shape
    pairs = values.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns)


def as_bfloat16(values: NDArray[numpy.float32]) -> NDArray[numpy.uint16]:
    """The upper half of each float, rounded to nearest even; numpy has no such type itself."""
    bits = numpy.ascontiguousarray(values).view(numpy.uint32)
    rounding = ((bits >> 16) & 1) + numpy.uint32(0x7FFF)
    return ((bits + rounding) >> 16).astype(numpy.uint16)


def write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
