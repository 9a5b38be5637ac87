"""Load a base model and make trainable what the method tunes; and the result's way to a folder.

An adapter's files are peft's own, a whole model's those of Hugging Face, so that whatever reads
theirs reads ours. No remote code is run and nothing pickled is read. Knows nothing of examples or
steps.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers.core_model_loading import revert_weight_conversion
from transformers.modeling_utils import remove_tied_weights_from_state_dict
from transformers.pytorch_utils import Conv1D

from tuner.adapters import read_adapter
from tuner.attention import FLOAT32_ATTENTION
from tuner.convert import weight_files
from tuner.errors import AdapterError, ModelError
from tuner.layers import adapted_layers
from tuner.light_peft import (
    LoraConfig,
    get_peft_model,
    get_peft_model_state_dict,
    peft,
    set_peft_model_state_dict,
)
from tuner.quantised import check_device, keep_unpacked, quantisation
from tuner.settings import TuningSettings
from tuner.stacking import Stacked, merge, one_adapter
from tuner.start import CONFIG_FILE, Start, check_start, fingerprint
from tuner.storage import Content
from tuner.tokenizer_files import stored_files
from tuner.weights import writer

ADAPTER_WEIGHTS = "adapter_model.safetensors"
MODEL_WEIGHTS = "model.safetensors"
MODEL_CONFIG = "config.json"
SETTINGS_FILE = "settings.json"


def prepare_model(
    base: Path,
    settings: TuningSettings,
    precision: str,
    device: torch.device,
    *,
    start_from: Path | None = None,
    start_mode: str = "continue",
) -> Any:
    """The base model with what `settings.method` tunes made trainable, and nothing else.

    `start_from` is the folder of an adapter on the same base: "continue" tunes that adapter
    further, "stack" a fresh one on top of it, and `model_files` then gives both as one.
    """
    start = check_start(start_from, start_mode, settings, base) if start_from else None
    model = load_base(base, precision, device, quantised=settings.method == "qlora")
    if not settings.uses_adapter:
        return model.requires_grad_(True)
    if start is None:
        return add_adapter(model, settings)
    if start_mode == "continue":
        return _continued(model, settings, start)
    stacked = merge(model, read_adapter(start.folder, device))
    model = add_adapter(model, settings)
    model.stacked = stacked
    return model


def load_base(
    folder: Path, precision: str, device: torch.device, *, quantised: bool = False
) -> Any:
    """The base model, in the precision it will be tuned in; quantised, its layers in 4 bits."""
    weight_files(folder)
    options: dict[str, Any] = {}
    if quantised:
        check_device(device)
        options = {"quantization_config": quantisation(precision), "device_map": {"": device}}
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, precision),
            attn_implementation=_attention(folder, precision, device),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            **options,
        )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise ModelError(f"{folder} cannot be loaded: {reason}. Choose another model.") from error
    return keep_unpacked(model) if quantised else model.to(device)


def _attention(folder: Path, precision: str, device: torch.device) -> str:
    """The fastest attention that computes what the family means."""
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    family: Any = transformers.MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    if family is None or not getattr(family, "_supports_sdpa", False):
        return "eager"  # such as gemma2, which bounds its scores
    in_bfloat16_on_cpu = precision == "bfloat16" and device.type == "cpu"
    return FLOAT32_ATTENTION if in_bfloat16_on_cpu else "sdpa"


def add_adapter(base: Any, settings: TuningSettings, alpha: float | None = None) -> Any:
    """The base with a trainable adapter in float32; the same seed gives the same adapter."""
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.resolved_lora_alpha if alpha is None else alpha,
        lora_dropout=settings.lora_dropout,
        use_rslora=settings.use_rslora,
        use_dora=settings.use_dora,
        target_modules=adapted_layers(base, settings.lora_layer_names),
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in base.modules()),
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(), warnings.catch_warnings():
        # peft reads an attribute that transformers has since renamed.
        warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
        torch.manual_seed(settings.seed)
        return get_peft_model(base, config)


def model_files(model: Any, settings: TuningSettings, base: Path) -> dict[str, Content]:
    """Everything the tuned model is made of, by file name; an adapter needs its base besides."""
    own = _adapter_files(model, base) if settings.uses_adapter else _whole_model_files(model)
    return {
        **own,
        SETTINGS_FILE: _json_bytes(_provenance(settings, base)),
        **stored_files(base),
    }


def load_adapter_weights(model: Any, folder: Path) -> None:
    """Put the weights of an adapter's folder in place; AdapterError if they do not fit."""
    path = folder / ADAPTER_WEIGHTS
    try:
        result = set_peft_model_state_dict(model, load_file(path))
    except (OSError, SafetensorError) as error:
        raise AdapterError(f"{path} is damaged ({error}). Choose another tuned model.") from None
    except RuntimeError:
        raise AdapterError(f"The adapter in {folder} is for another base model.") from None
    if result.unexpected_keys or any(".lora_" in key for key in result.missing_keys):
        raise AdapterError(
            f"The adapter in {folder} sits on other layers than the job's. Choose the layers it "
            "was tuned with, or stack a new adapter on it."
        )


def _continued(model: Any, settings: TuningSettings, start: Start) -> Any:
    model = add_adapter(model, settings, start.alpha)
    load_adapter_weights(model, start.folder)
    return model


def _adapter_files(model: Any, base: Path) -> dict[str, Content]:
    weights = get_peft_model_state_dict(model, save_embedding_layers=False)
    config = model.peft_config["default"].to_dict()
    stacked = getattr(model, "stacked", None)
    if isinstance(stacked, Stacked):
        weights, config = one_adapter(weights, config, stacked)
    config["base_model_name_or_path"] = str(base)
    config["inference_mode"] = True
    return {CONFIG_FILE: _json_bytes(config), ADAPTER_WEIGHTS: writer(weights)}


def _whole_model_files(model: Any) -> dict[str, Content]:
    """Under the names that the family's files have, which its modules may not share."""
    weights = remove_tied_weights_from_state_dict(model.state_dict(), model)
    config = model.config.to_diff_dict() | {
        "architectures": [type(model).__name__],
        "dtype": str(model.dtype).removeprefix("torch."),
    }
    return {
        MODEL_CONFIG: _json_bytes(config),
        MODEL_WEIGHTS: writer(revert_weight_conversion(model, weights)),
    }


def _provenance(settings: TuningSettings, base: Path) -> dict[str, Any]:
    versions = {module.__name__: str(module.__version__) for module in (torch, transformers, peft)}
    return {
        "settings": settings.as_dict(),
        "base": base.name,
        "base_fingerprint": fingerprint(base),
        "versions": versions,
    }


def _json_bytes(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, default=_as_json) + "\n").encode()


def _as_json(value: Any) -> Any:
    return sorted(value) if isinstance(value, set | frozenset) else str(value)
