"""A run's whole state as a folder, from which it goes on exactly as if it had never stopped.

A checkpoint is a usable adapter together with the optimiser's memory and the place in the data.
No random state is kept: each step draws from its own seed. Knows nothing of when to save.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

from tuner.adapter import ADAPTER_WEIGHTS, adapter_files, load_adapter_weights
from tuner.errors import CheckpointError
from tuner.examples import Example
from tuner.progress import Progress
from tuner.settings import TuningSettings
from tuner.storage import read_folder, write_folder

_OPTIMIZER = "optimizer.safetensors"
_STATE = "state.json"
_BEST = "best.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """One read from disk and found intact."""

    progress: Progress
    precision: str
    adapter: bytes
    optimizer: bytes
    best: bytes | None = None
    """The trainable weights of the best evaluation, where that was at an earlier step."""

    def restore(self, model: Any, optimizer: torch.optim.Optimizer) -> None:
        load_adapter_weights(model, self.adapter)
        _restore_optimizer(optimizer, load(self.optimizer))


def save_checkpoint(
    folder: Path,
    *,
    model: Any,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    settings: TuningSettings,
    precision: str,
    base: Path,
    data_hash: str,
    best: bytes | None = None,
) -> None:
    state = {
        "progress": asdict(progress),
        "precision": precision,
        "settings": settings.as_dict(),
        "data": data_hash,
    }
    files = {
        **adapter_files(model, settings, base),
        _OPTIMIZER: save(_optimizer_tensors(optimizer)),
        _STATE: json.dumps(state).encode(),
        **({_BEST: best} if best is not None else {}),
    }
    write_folder(folder, files, manifest=True)


def load_checkpoint(folder: Path, settings: TuningSettings, data_hash: str) -> Checkpoint:
    """The checkpoint in `folder`, if it is whole and of this very job."""
    files = read_folder(folder)
    state = json.loads(files[_STATE])
    if state["settings"] != settings.as_dict():
        raise CheckpointError(f"{folder} was made with other settings. Start the job anew.")
    if state["data"] != data_hash:
        raise CheckpointError(f"{folder} was made with other examples. Start the job anew.")
    progress = Progress(**state["progress"])
    return Checkpoint(
        progress,
        state["precision"],
        files[ADAPTER_WEIGHTS],
        files[_OPTIMIZER],
        files.get(_BEST),
    )


def hash_examples(*groups: Iterable[Example]) -> str:
    """One hash for all examples of a job and their order."""
    digest = hashlib.sha256()
    for group in groups:
        digest.update(b"\x00")
        for example in group:
            digest.update(json.dumps(example.as_dict()).encode())
    return digest.hexdigest()


def _parameters(optimizer: torch.optim.Optimizer) -> Sequence[torch.nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    return {
        f"{index}.{name}": value.detach().cpu().contiguous()
        for index, parameter in enumerate(_parameters(optimizer))
        for name, value in optimizer.state[parameter].items()
    }


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    parameters = _parameters(optimizer)
    for key, value in tensors.items():
        index, name = key.split(".")
        parameter = parameters[int(index)]
        optimizer.state[parameter][name] = value.to(parameter.device)
