"""The trained weights of the best evaluation, kept until they become the model or are beaten.

An adapter is small and stays in memory. The weights of a whole model lie in a file beside the
run's output, which goes when the run ends. Knows weights, not losses.
"""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from tuner.storage import Content
from tuner.trainable import Trainable
from tuner.weights import read_tensors, writer


class BestInMemory:
    """Copies on the processor's side, whatever device the run is on."""

    def __init__(self) -> None:
        self._tensors: dict[str, Tensor] = {}

    @property
    def is_empty(self) -> bool:
        return not self._tensors

    def keep(self, trainable: Trainable) -> None:
        """Remember the weights as they are now."""
        self._tensors = {name: tensor.cpu().clone() for name, tensor in trainable.tensors.items()}

    def read(self, path: Path) -> None:
        """Take up what a checkpoint kept."""
        self._tensors = dict(read_tensors(path))

    def content(self) -> Content:
        """For a checkpoint, as `read` takes it."""
        return writer(self._tensors)

    @torch.no_grad()
    def put_back(self, trainable: Trainable) -> None:
        """Make them the weights of the model."""
        for name, tensor in trainable.tensors.items():
            tensor.copy_(self._tensors[name])
        trainable.publish()

    def forget(self) -> None:
        """Free what they take."""
        self._tensors = {}


class BestOnDisk:
    """A file beside the run's output, for weights too large to hold twice."""

    def __init__(self, output: Path) -> None:
        self._path = output.with_name(f".{output.name}.best.safetensors")

    @property
    def is_empty(self) -> bool:
        return not self._path.exists()

    def keep(self, trainable: Trainable) -> None:
        """Remember the weights as they are now."""
        self.forget()  # a checkpoint may share the old file
        self._path.parent.mkdir(parents=True, exist_ok=True)
        trainable.save(self._path)

    def read(self, path: Path) -> None:
        """Take up what a checkpoint kept."""
        self.forget()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        _share(path, self._path)

    def content(self) -> Content:
        """For a checkpoint, as `read` takes it."""
        return partial(_share, self._path)

    def put_back(self, trainable: Trainable) -> None:
        """Make them the weights of the model."""
        trainable.load(self._path)

    def forget(self) -> None:
        """Free what they take."""
        self._path.unlink(missing_ok=True)


BestWeights = BestInMemory | BestOnDisk


def _share(source: Path, target: Path) -> None:
    """The same file under a second name, or a copy where the two lie on different disks."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
