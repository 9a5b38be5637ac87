"""Tensors to a safetensors file and back, without a second copy of them all in memory.

A file is written from the tensors where they lie and read back one tensor at a time. Knows names,
shapes and bytes, not what they mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor


def writer(tensors: Mapping[str, Tensor]) -> Callable[[Path], None]:
    """Writes these tensors to the path it is called with."""

    def write(path: Path) -> None:
        ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(ready, path, metadata={"format": "pt"})

    return write


def read_tensors(path: Path, device: torch.device | str = "cpu") -> Iterator[tuple[str, Tensor]]:
    """Name and content of every tensor of a file, one after the other."""
    with safe_open(path, framework="pt", device=str(device)) as file:
        for name in file.keys():  # noqa: SIM118 - not a dictionary
            yield name, file.get_tensor(name)


def read_into(path: Path, targets: Mapping[str, Tensor]) -> None:
    """Fill `targets` from a file that holds just these; ValueError says what does not fit."""
    missing = set(targets)
    with torch.no_grad():
        for name, tensor in read_tensors(path):
            if name not in targets or targets[name].shape != tensor.shape:
                raise ValueError(f"{name} does not fit")
            targets[name].copy_(tensor)
            missing.discard(name)
    if missing:
        raise ValueError(f"{min(missing)} is missing")
