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

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers.core_model_loading import revert_weight_conversion
from transformers.modeling_utils import remove_tied_weights_from_state_dict
from transformers.pytorch_utils import Conv1D

from tuner.attention import FLOAT32_ATTENTION
from tuner.convert import weight_files
from tuner.encode import TOKENIZER_FILES
from tuner.errors import CheckpointError, ModelError
from tuner.layers import adapted_layers
from tuner.settings import TuningSettings
from tuner.storage import Content
from tuner.weights import writer

ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
MODEL_WEIGHTS = "model.safetensors"
MODEL_CONFIG = "config.json"
SETTINGS_FILE = "settings.json"


def prepare_model(
    base: Path, settings: TuningSettings, precision: str, device: torch.device
) -> Any:
    """The base model with what `settings.method` tunes made trainable, and nothing else."""
    model = load_base(base, precision, device)
    if settings.uses_adapter:
        return add_adapter(model, settings)
    return model.requires_grad_(True)


def load_base(folder: Path, precision: str, device: torch.device) -> Any:
    """The base model, in the precision it will be tuned in."""
    weight_files(folder)
    in_bfloat16_on_cpu = precision == "bfloat16" and device.type == "cpu"
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, precision),
            attn_implementation=FLOAT32_ATTENTION if in_bfloat16_on_cpu else "sdpa",
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise ModelError(f"{folder} cannot be loaded: {reason}. Choose another model.") from error
    return model.to(device)


def add_adapter(base: Any, settings: TuningSettings) -> Any:
    """The base with a trainable adapter in float32; the same seed gives the same adapter."""
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.resolved_lora_alpha,
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
    tokenizer_files = (base / name for name in TOKENIZER_FILES)
    return {
        **own,
        SETTINGS_FILE: _json_bytes(_provenance(settings, base)),
        **{path.name: path.read_bytes() for path in tokenizer_files if path.exists()},
    }


def load_adapter_weights(model: Any, path: Path) -> None:
    """Put saved weights in the place of the adapter's; CheckpointError if they do not fit."""
    try:
        result = set_peft_model_state_dict(model, load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"The checkpoint's adapter does not fit this job: {error}") from None
    if result.unexpected_keys:
        raise CheckpointError("The checkpoint's adapter is for another base model.")


def _adapter_files(model: Any, base: Path) -> dict[str, Content]:
    weights = get_peft_model_state_dict(model, save_embedding_layers=False)
    return {ADAPTER_CONFIG: _adapter_config(model, base), ADAPTER_WEIGHTS: writer(weights)}


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


def _adapter_config(model: Any, base: Path) -> bytes:
    config = model.peft_config["default"].to_dict()
    config["target_modules"] = sorted(config["target_modules"])
    config["base_model_name_or_path"] = str(base)
    config["inference_mode"] = True
    return _json_bytes(config)


def _provenance(settings: TuningSettings, base: Path) -> dict[str, Any]:
    versions = {module.__name__: str(module.__version__) for module in (torch, transformers, peft)}
    return {"settings": settings.as_dict(), "base": base.name, "versions": versions}


def _json_bytes(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, default=str) + "\n").encode()
