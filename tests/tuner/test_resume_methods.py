"""Whatever the method, a resumed run equals the uninterrupted one, also in mid-epoch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.tuner.making import losses, run
from tuner.errors import CheckpointError
from tuner.settings import TuningSettings
from tuner.storage import write_folder

# peft reads an attribute that transformers has since renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")

COMMON: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 5,
    "learning_rate": 0.005,
    "checkpoints_kept": 9,
}
METHODS: dict[str, dict[str, Any]] = {
    "full": {"method": "full", "precision": "float32", "weight_decay": 0.1},
    "full in bfloat16": {"method": "full", "precision": "bfloat16"},
    "DoRA": {"use_dora": True, "lora_dropout": 0.3},
    "qlora": {"method": "qlora", "lora_dropout": 0.3},
}
STEP = 2  # of three in an epoch


@pytest.mark.parametrize("kind", METHODS)
def test_a_resumed_run_equals_the_uninterrupted_one(tiny_model, tmp_path, kind):
    settings = TuningSettings(**COMMON, **METHODS[kind])
    whole = run(
        tiny_model,
        tmp_path / "whole",
        settings=settings,
        checkpoint_folder=lambda step: tmp_path / "checkpoints" / str(step),
        save_now=lambda step: step == STEP,
    )
    resumed = run(
        tiny_model,
        tmp_path / "resumed",
        settings=settings,
        resume_from=tmp_path / "checkpoints" / str(STEP),
    )
    assert losses(resumed) == losses(whole)[STEP:]
    assert_same_weights(tmp_path / "whole", tmp_path / "resumed")


def assert_same_weights(first: Path, second: Path) -> None:
    (name,) = (path.name for path in first.glob("*model.safetensors"))
    ours, theirs = load_file(first / name), load_file(second / name)
    assert ours.keys() == theirs.keys()
    assert all(ours[key].equal(theirs[key]) for key in ours)


@pytest.fixture(scope="module")
def checkpoint(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    run(
        tiny_model,
        folder / "out",
        settings=TuningSettings(**COMMON),
        checkpoint_folder=lambda step: folder / str(step),
        save_now=lambda step: step == STEP,
    )
    return folder / str(STEP)


@pytest.mark.parametrize(
    "change",
    [{"checkpoints_kept": 1}, {"final_model": "last"}, {"early_stopping_minimum_change": 0.1}],
    ids=lambda change: next(iter(change)),
)
def test_what_changes_no_step_may_change_on_the_way(tiny_model, tmp_path, checkpoint, change):
    settings = TuningSettings(**COMMON | change)
    resumed = run(tiny_model, tmp_path / "out", settings=settings, resume_from=checkpoint)
    assert len(losses(resumed)) == 6 - STEP


@pytest.mark.parametrize(
    "change",
    [{"lora_rank": 4}, {"weight_decay": 0.1}, {"seed": 1}, {"method": "full"}, {"use_dora": True}],
    ids=lambda change: next(iter(change)),
)
def test_what_changes_a_step_may_not(tiny_model, tmp_path, checkpoint, change):
    settings = TuningSettings(**COMMON | change)
    with pytest.raises(CheckpointError, match=r"other settings\. Start the job anew"):
        run(tiny_model, tmp_path / "out", settings=settings, resume_from=checkpoint)


def test_settings_of_another_version_are_other_settings(tiny_model, tmp_path, checkpoint):
    folder = without_manifest(checkpoint, tmp_path)
    state = json.loads((folder / "state.json").read_text())
    state["settings"]["colour"] = "blue"
    (folder / "state.json").write_text(json.dumps(state))
    sign_again(folder)
    with pytest.raises(CheckpointError, match="other settings"):
        run(tiny_model, tmp_path / "out", settings=TuningSettings(**COMMON), resume_from=folder)


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors"])
def test_a_corrupt_file_under_a_right_hash_still_ends_in_a_sentence(
    tiny_model, tmp_path, checkpoint, name
):
    folder = without_manifest(checkpoint, tmp_path)
    (folder / name).write_bytes((folder / name).read_bytes()[:200])
    sign_again(folder)
    with pytest.raises(CheckpointError, match="does not fit this job"):
        run(tiny_model, tmp_path / "out", settings=TuningSettings(**COMMON), resume_from=folder)
    assert not (tmp_path / "out").exists()


def without_manifest(checkpoint: Path, tmp_path: Path) -> Path:
    folder = shutil.copytree(checkpoint, tmp_path / "checkpoint")
    (folder / "manifest.json").unlink()
    return folder


def sign_again(folder: Path) -> None:
    """As if it had been written so: what the hashes cannot find."""
    contents = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    write_folder(folder, contents, manifest=True)
