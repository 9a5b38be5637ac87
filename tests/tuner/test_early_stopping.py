"""When tuning ends before its last step, and which weights become the model."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.tuner.making import COUNTING, finished, losses, run
from tuner.early_stopping import count_evaluation, has_stalled
from tuner.errors import SettingsError
from tuner.events import Evaluated, Event, Phase, Saved
from tuner.examples import Example
from tuner.progress import Progress
from tuner.settings import TuningSettings

CONTRADICTING = [Example.from_pair(str(number), str(number + 1)[::-1]) for number in (40, 41, 42)]
"""The more the examples are learned, the more surprising these become: their loss soon rises."""
RISING: dict[str, Any] = {
    "epochs": 8,
    "batch_size": 6,
    "learning_rate": 0.02,
    "schedule": "constant",
    "warmup_share": 0.0,
}
WHOLE_MODEL = RISING | {"learning_rate": 0.003, "method": "full"}


def evaluated(events: Sequence[Event]) -> list[Evaluated]:
    return [event for event in events if isinstance(event, Evaluated)]


def best_of(events: Sequence[Event]) -> Evaluated:
    return min(evaluated(events), key=lambda event: event.validation_loss)


def weights(folder: Path):
    return load_file(folder / "adapter_model.safetensors")


def same(ours, theirs) -> bool:
    return ours.keys() == theirs.keys() and all(ours[name].equal(theirs[name]) for name in ours)


def stalls_after(values: Sequence[float], **chosen) -> int | None:
    """The evaluation after which tuning would stop."""
    settings, progress = TuningSettings(**chosen), Progress()
    for number, loss in enumerate(values, start=1):
        count_evaluation(progress, loss, settings)
        if has_stalled(progress, settings):
            return number
    return None


def test_patience_counts_evaluations_without_improvement_in_a_row():
    values = [3.0, 2.0, 2.1, 1.9, 1.9, 1.95]
    assert stalls_after(values, early_stopping_patience=2) == 6
    assert stalls_after(values, early_stopping_patience=1) == 3
    assert stalls_after(values) is None


def test_an_improvement_below_the_minimum_change_does_not_count():
    values = [3.0, 2.95, 2.92, 2.89]
    chosen = {"early_stopping_patience": 2, "early_stopping_minimum_change": 0.1}
    assert stalls_after(values, **chosen) == 3
    creeping = [3.0, 2.95, 2.88, 2.8]  # small steps that sum up to an improvement
    assert stalls_after(creeping, **chosen) is None


def test_the_best_evaluation_is_the_lowest_even_when_it_did_not_count_as_improvement():
    progress = Progress()
    settings = TuningSettings(early_stopping_minimum_change=0.5)
    flags = []
    for step, loss in enumerate([3.0, 2.9, 2.95, 2.8], start=1):
        progress.step = step
        flags.append(count_evaluation(progress, loss, settings))
    assert flags == [True, True, False, True]
    assert (progress.best_step, progress.best_loss) == (4, 2.8)


def test_a_run_that_no_longer_improves_stops_early_and_becomes_its_best(tiny_model, tmp_path):
    settings = TuningSettings(**RISING, early_stopping_patience=2)
    events = run(
        tiny_model,
        tmp_path / "out",
        settings=settings,
        validation=CONTRADICTING,
        checkpoint_folder=lambda step: tmp_path / "checkpoints" / str(step),
    )
    best = best_of(events)
    end = finished(events)
    assert end.ending == "stopped early"
    assert end.step == best.step + 2 * 2 < 16
    assert (end.model_step, end.validation_loss) == (best.step, best.validation_loss)
    short = run(
        tiny_model,
        tmp_path / "short",
        settings=TuningSettings(**RISING | {"epochs": best.step // 2}),
        validation=CONTRADICTING,
    )
    assert finished(short).step == finished(short).model_step == best.step
    assert same(weights(tmp_path / "out"), weights(tmp_path / "short"))


def test_the_last_weights_become_the_model_when_the_settings_say_so(tiny_model, tmp_path):
    for name in ("best", "last"):
        settings = TuningSettings(**RISING, final_model=name)
        events = run(tiny_model, tmp_path / name, settings=settings, validation=CONTRADICTING)
        end = finished(events)
        assert end.ending == "complete"
        assert end.model_step == (best_of(events).step if name == "best" else 16)
        last = evaluated(events)[-1].validation_loss
        assert end.validation_loss == (best_of(events).validation_loss if name == "best" else last)
    assert not same(weights(tmp_path / "best"), weights(tmp_path / "last"))


def test_a_whole_model_becomes_its_best_too_and_leaves_no_file_beside_it(tiny_model, tmp_path):
    settings = TuningSettings(**WHOLE_MODEL)
    events = run(tiny_model, tmp_path / "out", settings=settings, validation=CONTRADICTING)
    best = best_of(events)
    assert finished(events).model_step == best.step < 16
    short = TuningSettings(**WHOLE_MODEL | {"epochs": best.step // 2})
    run(tiny_model, tmp_path / "short", settings=short, validation=CONTRADICTING)
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("out", "short"))
    assert same(ours, theirs)
    assert {path.name for path in tmp_path.iterdir()} == {"out", "short"}


def test_evaluations_come_every_so_many_steps_and_after_the_last(tiny_model, tmp_path):
    settings = TuningSettings(max_steps=7, evaluate_every_steps=3)
    events = run(tiny_model, tmp_path / "out", settings=settings, validation=COUNTING[:3])
    assert [event.step for event in evaluated(events)] == [3, 6, 7]
    assert (finished(events).step, finished(events).epoch) == (7, 7 / 3)


def test_a_run_of_less_than_an_epoch_is_evaluated_and_has_a_training_loss(tiny_model, tmp_path):
    settings = TuningSettings(max_steps=2)
    events = run(tiny_model, tmp_path / "out", settings=settings, validation=COUNTING[:3])
    assert [event.step for event in evaluated(events)] == [2]
    assert finished(events).train_loss == pytest.approx(sum(losses(events)) / 2)


def test_stopping_early_without_anything_to_compare_is_refused_in_words(tiny_model, tmp_path):
    with pytest.raises(SettingsError, match="needs validation examples"):
        run(tiny_model, tmp_path / "out", settings=TuningSettings(early_stopping_patience=1))


def test_stop_and_save_ends_after_the_step_with_a_model(tiny_model, tmp_path):
    asked = count(1)
    events = run(
        tiny_model,
        tmp_path / "out",
        settings=TuningSettings(epochs=50),
        validation=COUNTING[:3],
        checkpoint_folder=lambda step: tmp_path / "checkpoints" / str(step),
        stop_now=lambda: next(asked) >= 5,
    )
    end = finished(events)
    assert (end.ending, end.step) == ("stopped by hand", 5)
    assert [event.step for event in evaluated(events)] == [3, 5]
    assert [event.step for event in events if isinstance(event, Saved)] == [3, 5, 5]
    assert (tmp_path / "out" / "adapter_config.json").exists()


def test_a_run_resumed_after_its_early_end_takes_no_further_step(tiny_model, tmp_path):
    settings = TuningSettings(**RISING, early_stopping_patience=2)
    events = run(
        tiny_model,
        tmp_path / "out",
        settings=settings,
        validation=CONTRADICTING,
        checkpoint_folder=lambda step: tmp_path / "checkpoints" / str(step),
    )
    last = tmp_path / "checkpoints" / str(finished(events).step)
    resumed = run(
        tiny_model,
        tmp_path / "again",
        settings=settings,
        validation=CONTRADICTING,
        resume_from=last,
    )
    assert losses(resumed) == []
    assert finished(resumed).ending == "stopped early"
    assert finished(resumed).model_step == finished(events).model_step
    assert same(weights(tmp_path / "again"), weights(tmp_path / "out"))


def test_the_newest_checkpoints_stay_and_the_best_one_too(tiny_model, tmp_path):
    folder = tmp_path / "checkpoints"
    settings = TuningSettings(**RISING, checkpoints_kept=1)
    events = run(
        tiny_model,
        tmp_path / "out",
        settings=settings,
        validation=CONTRADICTING,
        checkpoint_folder=lambda step: folder / str(step),
    )
    assert {path.name for path in folder.iterdir()} == {str(best_of(events).step), "16"}


def test_a_best_evaluation_in_the_middle_of_an_epoch_leaves_a_checkpoint(tiny_model, tmp_path):
    settings = TuningSettings(max_steps=3, evaluate_every_steps=1, learning_rate=0.003)
    events = run(
        tiny_model,
        tmp_path / "out",
        settings=settings,
        validation=COUNTING[:3],
        checkpoint_folder=lambda step: tmp_path / "checkpoints" / str(step),
    )
    best = [event.step for event in evaluated(events) if event.is_best]
    saved = [e.step for e in events if isinstance(e, Saved) and not e.is_adapter]
    assert 1 in best
    assert set(best) <= set(saved)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_best_weights_survive_the_death_of_the_run_that_had_them(tiny_model, tmp_path, method):
    chosen = RISING if method == "lora" else WHOLE_MODEL
    settings = TuningSettings(**chosen, checkpoints_kept=20)
    events = run(
        tiny_model,
        tmp_path / "out",
        settings=settings,
        validation=CONTRADICTING,
        checkpoint_folder=lambda step: tmp_path / "checkpoints" / str(step),
    )
    best = best_of(events).step
    shutil.rmtree(tmp_path / "checkpoints" / str(best))  # not needed: later ones carry them
    resumed = run(
        tiny_model,
        tmp_path / "resumed",
        settings=settings,
        validation=CONTRADICTING,
        resume_from=tmp_path / "checkpoints" / "14",
    )
    assert finished(resumed).model_step == best < 14
    name = "adapter_model.safetensors" if method == "lora" else "model.safetensors"
    ours, theirs = (load_file(tmp_path / folder / name) for folder in ("resumed", "out"))
    assert same(ours, theirs)


def test_no_phase_of_tuning_is_told_after_the_last_step(tiny_model, tmp_path):
    events = run(tiny_model, tmp_path / "out", settings=TuningSettings(max_steps=1))
    told = [event.name for event in events if isinstance(event, Phase)]
    assert told == ["preparing", "loading model", "tuning", "evaluating", "saving"]
