"""A run's whole state as a folder, from which it goes on exactly as if it had never stopped.

A checkpoint is the trained weights together with the optimiser's memory and the place in the data.
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
from safetensors import SafetensorError

from tuner.errors import CheckpointError, SettingsError
from tuner.examples import Example
from tuner.progress import Progress
from tuner.settings import TuningSettings
from tuner.storage import Content, check_folder, write_folder
from tuner.trainable import Trainable
from tuner.weights import read_tensors, writer

_WEIGHTS = "weights.safetensors"
_OPTIMIZER = "optimizer.safetensors"
_BEST = "best.safetensors"
_STATE = "state.json"
_FREE_SETTINGS = (
    "activation_checkpointing",
    "checkpoints_kept",
    "early_stopping_minimum_change",
    "early_stopping_patience",
    "final_model",
    "micro_batch_tokens",
)
"""What may change on the way: none of them changes what a step computes, up to its rounding."""


@dataclass(frozen=True)
class Checkpoint:
    """One on disk, found intact."""

    folder: Path
    progress: Progress
    precision: str

    @property
    def best(self) -> Path | None:
        """The weights of the best evaluation so far, as `Trainable.save` wrote them."""
        path = self.folder / _BEST
        return path if path.exists() else None

    def restore(self, trainable: Trainable, optimizer: torch.optim.Optimizer) -> None:
        """Put weights and the optimiser's memory back as they were."""
        try:
            trainable.load(self.folder / _WEIGHTS)
            _restore_optimizer(optimizer, self.folder / _OPTIMIZER)
        except (ValueError, IndexError, SafetensorError) as error:
            raise CheckpointError(
                f"{self.folder} does not fit this job: {error}. Start the job anew."
            ) from None


def save_checkpoint(
    folder: Path,
    *,
    trainable: Trainable,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    settings: TuningSettings,
    precision: str,
    data_hash: str,
    best: Content | None = None,
) -> None:
    """Write a checkpoint; `best` holds the weights of the best evaluation, if there was one."""
    state = {
        "progress": asdict(progress),
        "precision": precision,
        "settings": settings.as_dict(),
        "data": data_hash,
    }
    files: dict[str, Content] = {
        _WEIGHTS: writer(trainable.tensors),
        _OPTIMIZER: writer(_optimizer_tensors(optimizer)),
        _STATE: json.dumps(state).encode(),
    }
    if best is not None:
        files[_BEST] = best
    write_folder(folder, files, manifest=True)


def load_checkpoint(folder: Path, settings: TuningSettings, data_hash: str) -> Checkpoint:
    """The checkpoint in `folder`, if it is whole and of this very job."""
    check_folder(folder)
    state = json.loads((folder / _STATE).read_bytes())
    if not _is_same_job(state["settings"], settings):
        raise CheckpointError(f"{folder} was made with other settings. Start the job anew.")
    if state["data"] != data_hash:
        raise CheckpointError(f"{folder} was made with other examples. Start the job anew.")
    return Checkpoint(folder, Progress(**state["progress"]), state["precision"])


def _is_same_job(saved: dict[str, Any], settings: TuningSettings) -> bool:
    """Whether both compute the same steps."""
    try:
        former = TuningSettings.from_dict(saved).as_dict()
    except SettingsError:
        return False
    now = settings.as_dict()
    return all(former[name] == now[name] for name in now if name not in _FREE_SETTINGS)


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
        f"{index}.{name}": value
        for index, parameter in enumerate(_parameters(optimizer))
        for name, value in optimizer.state[parameter].items()
    }


def _restore_optimizer(optimizer: torch.optim.Optimizer, path: Path) -> None:
    parameters = _parameters(optimizer)
    for key, value in read_tensors(path):
        index, name = key.split(".")
        parameter = parameters[int(index)]
        optimizer.state[parameter][name] = value.to(parameter.device)
