"""A run resumed from a checkpoint equals the one that was never interrupted, bit for bit."""

from __future__ import annotations

import hashlib
import json
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.tuner.making import COUNTING, finished, losses, run
from tuner.errors import CheckpointError, StorageError
from tuner.events import Evaluated, ExampleLosses, Sampled, Saved, Started
from tuner.settings import TuningSettings

SETTINGS = TuningSettings(
    epochs=3,
    batch_size=5,
    lora_dropout=0.3,
    learning_rate=0.01,
    early_stopping_patience=5,
    evaluate_every_steps=2,
    checkpoints_kept=20,
)
STEPS_PER_EPOCH = 3


@pytest.fixture(scope="module")
def uninterrupted(tiny_model, tmp_path_factory):
    """A whole run with a checkpoint after every step."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    events = run(
        tiny_model,
        folder / "out",
        settings=SETTINGS,
        validation=COUNTING[:3],
        checkpoint_folder=lambda step: folder / "checkpoints" / str(step),
        save_now=lambda step: True,
    )
    return events, folder


@pytest.mark.parametrize("step", [1, STEPS_PER_EPOCH, 5, 9])
def test_a_resumed_run_equals_the_uninterrupted_one(tiny_model, tmp_path, uninterrupted, step):
    expected, folder = uninterrupted
    resumed = run(
        tiny_model,
        tmp_path / "out",
        settings=SETTINGS,
        validation=COUNTING[:3],
        resume_from=folder / "checkpoints" / str(step),
    )
    assert losses(resumed) == losses(expected)[step:]
    assert evaluations(resumed) == [at for at in evaluations(expected) if at[0] > step]
    assert finished(resumed).train_loss == finished(expected).train_loss
    assert finished(resumed).validation_loss == finished(expected).validation_loss
    assert finished(resumed).model_step == finished(expected).model_step
    assert told_after(resumed, step) == told_after(expected, step)
    ours, theirs = (
        load_file(path / "out" / "adapter_model.safetensors") for path in (tmp_path, folder)
    )
    assert ours.keys() == theirs.keys()
    assert all(ours[name].equal(theirs[name]) for name in ours)


def evaluations(events):
    return [
        (event.step, event.validation_loss, event.token_accuracy, event.is_best)
        for event in events
        if isinstance(event, Evaluated)
    ]


def told_after(events, step):
    """Answers to the fixed prompts, and the losses of the examples."""
    return [
        event
        for event in events
        if (isinstance(event, Sampled | ExampleLosses) and event.step > step)
        or isinstance(event, ExampleLosses)
    ]


def test_a_resumed_run_says_where_it_goes_on(tiny_model, tmp_path, uninterrupted):
    _, folder = uninterrupted
    checkpoint = folder / "checkpoints" / "5"
    events = run(
        tiny_model,
        tmp_path / "out",
        settings=SETTINGS,
        validation=COUNTING[:3],
        resume_from=checkpoint,
    )
    started = next(event for event in events if isinstance(event, Started))
    assert (started.step, started.total_steps) == (5, 9)
    assert finished(events).steps == 4


def test_checkpoints_come_at_each_epochs_end_and_when_asked_for(tiny_model, tmp_path):
    events = run(
        tiny_model,
        tmp_path / "out",
        settings=TuningSettings(epochs=3, batch_size=5, checkpoints_kept=4),
        checkpoint_folder=lambda step: tmp_path / "checkpoints" / str(step),
        save_now=lambda step: step == 4,
    )
    saved = [event for event in events if isinstance(event, Saved)]
    assert [(event.step, event.is_adapter) for event in saved] == [
        (3, False),
        (4, False),
        (6, False),
        (9, False),
        (9, True),
    ]
    assert all(Path(event.path).is_dir() for event in saved)


def test_a_checkpoint_holds_no_pickle_and_a_manifest_of_every_file(uninterrupted):
    _, folder = uninterrupted
    checkpoint = folder / "checkpoints" / "5"
    names = {path.name for path in checkpoint.iterdir()}
    hashes = json.loads((checkpoint / "manifest.json").read_text())["sha256"]
    assert set(hashes) | {"manifest.json"} == names
    assert {Path(name).suffix for name in names} == {".json", ".safetensors"}


def resume(base, tmp_path, checkpoint, *, settings=SETTINGS, examples=COUNTING):
    return run(
        base,
        tmp_path / "out",
        examples=examples,
        settings=settings,
        validation=COUNTING[:3],
        resume_from=checkpoint,
    )


@pytest.fixture
def checkpoint(uninterrupted, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(uninterrupted[1] / "checkpoints" / "5", tmp_path / "checkpoint")


def test_a_changed_file_is_noticed(tiny_model, tmp_path, checkpoint):
    path = checkpoint / "optimizer.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        resume(tiny_model, tmp_path, checkpoint)


def test_a_missing_file_is_noticed(tiny_model, tmp_path, checkpoint):
    (checkpoint / "state.json").unlink()
    with pytest.raises(CheckpointError, match="not a complete checkpoint"):
        resume(tiny_model, tmp_path, checkpoint)


def test_other_settings_or_examples_are_refused(tiny_model, tmp_path, checkpoint):
    with pytest.raises(CheckpointError, match="other settings"):
        resume(tiny_model, tmp_path, checkpoint, settings=TuningSettings(epochs=4))
    with pytest.raises(CheckpointError, match="other examples"):
        resume(tiny_model, tmp_path, checkpoint, examples=COUNTING[::-1])


@contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    """No file may grow beyond this: what a full disk does, for this process alone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_ends_in_a_sentence_and_leaves_earlier_checkpoints_whole(tiny_model, tmp_path):
    checkpoints = tmp_path / "checkpoints"
    settings = TuningSettings(epochs=1)
    run(
        tiny_model,
        tmp_path / "first",
        settings=settings,
        checkpoint_folder=lambda step: checkpoints / str(step),
    )
    before = sorted(checkpoints.rglob("*"))
    with file_size_limit(50_000), pytest.raises(StorageError, match="Free some space"):
        run(
            tiny_model,
            tmp_path / "second",
            settings=settings,
            checkpoint_folder=lambda step: checkpoints / f"again-{step}",
        )
    assert sorted(checkpoints.rglob("*")) == before
    assert not (tmp_path / "second").exists()


def test_a_resumed_run_computes_as_much_at_once_as_was_planned_when_it_began(
    tiny_model, tmp_path, uninterrupted
):
    _, folder = uninterrupted
    checkpoint = shutil.copytree(folder / "checkpoints" / "5", tmp_path / "checkpoint")
    state = json.loads((checkpoint / "state.json").read_text())
    state["progress"]["micro_batch_tokens"] = 64
    (checkpoint / "state.json").write_text(json.dumps(state))
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    digest = hashlib.sha256((checkpoint / "state.json").read_bytes()).hexdigest()
    manifest["sha256"]["state.json"] = digest
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    events = resume(tiny_model, tmp_path, checkpoint)
    started = next(event for event in events if isinstance(event, Started))
    assert started.micro_batch_tokens == 64


def test_a_checkpoint_of_a_run_that_started_from_another_model_is_refused(tiny_model, tmp_path):
    for name, seed in (("one", 1), ("two", 2)):
        run(tiny_model, tmp_path / name, settings=TuningSettings(max_steps=1, seed=seed))
    settings = TuningSettings(epochs=1)
    run(
        tiny_model,
        tmp_path / "further",
        settings=settings,
        start_from=tmp_path / "one",
        checkpoint_folder=lambda step: tmp_path / "checkpoints" / str(step),
    )
    with pytest.raises(CheckpointError, match="other examples"):
        run(
            tiny_model,
            tmp_path / "out",
            settings=settings,
            start_from=tmp_path / "two",
            resume_from=tmp_path / "checkpoints" / "3",
        )
