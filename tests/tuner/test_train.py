"""What a training run tells, learns and leaves behind."""

from __future__ import annotations

import gc
import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from tests.tuner.making import CONVERSATION, COUNTING, finished, losses, run
from tuner.errors import (
    DivergedError,
    ExampleError,
    MemoryShortageError,
    ModelError,
    StorageError,
)
from tuner.events import PHASES, Evaluated, Phase, Saved, Started, Step
from tuner.examples import Example
from tuner.memory_shortage import is_memory_shortage, remedies
from tuner.settings import TuningSettings
from tuner.train import train


def test_events_come_in_the_order_of_the_work(tiny_model, tmp_path):
    settings = TuningSettings(epochs=2, batch_size=6)
    events = run(tiny_model, tmp_path / "out", settings=settings, validation=COUNTING[:3])
    told = [event.name if isinstance(event, Phase) else event.kind for event in events]
    epoch = ["step", "step", "evaluating", "evaluated", "sampled"]
    assert told == [
        *("preparing", "loading model", "started", "tuning"),
        *(*epoch, "tuning", *epoch),
        *("example_losses", "saving", "saved", "finished"),
    ]
    assert {event.name for event in events if isinstance(event, Phase)} <= set(PHASES)


def test_the_start_says_what_will_be_done(tiny_model, tmp_path):
    settings = TuningSettings(epochs=3, lora_rank=4)
    events = run(tiny_model, tmp_path / "out", settings=settings, validation=COUNTING[:2])
    started = next(event for event in events if isinstance(event, Started))
    assert (started.step, started.total_steps) == (0, 9)
    assert (started.training_examples, started.validation_examples) == (12, 2)
    assert (started.precision, started.device) == ("float32", "cpu")
    assert started.threads == torch.get_num_threads()
    assert started.trainable_parameters == 8192
    assert finished(events).steps == 9


def test_steps_are_numbered_from_one_and_epochs_end_on_whole_numbers(tiny_model, tmp_path):
    events = run(tiny_model, tmp_path / "out", examples=COUNTING[:10])
    steps = [event for event in events if isinstance(event, Step)]
    assert [event.step for event in steps] == [1, 2, 3, 4, 5, 6]
    assert [event.epoch for event in steps][2::3] == [1.0, 2.0]


def test_the_loss_falls_when_four_examples_are_learned_by_heart(tiny_model, tmp_path):
    settings = TuningSettings(epochs=40, learning_rate=0.02)
    events = run(
        tiny_model,
        tmp_path / "out",
        examples=COUNTING[:4],
        settings=settings,
        validation=COUNTING[:4],
    )
    first, *_, last = losses(events)
    assert last < first / 10
    validation_loss = finished(events).validation_loss
    assert validation_loss is not None
    assert validation_loss < first / 10


def test_the_same_seed_gives_the_same_losses_and_another_seed_others(tiny_model, tmp_path):
    settings = TuningSettings(epochs=2, lora_dropout=0.2, seed=5)
    first = losses(run(tiny_model, tmp_path / "first", settings=settings))
    torch.manual_seed(99)  # whatever the process did before must not matter
    assert losses(run(tiny_model, tmp_path / "second", settings=settings)) == first
    other = TuningSettings(epochs=2, lora_dropout=0.2, seed=6)
    assert losses(run(tiny_model, tmp_path / "third", settings=other)) != first


def test_a_run_leaves_the_callers_random_state_alone(tiny_model, tmp_path):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    run(tiny_model, tmp_path / "out", settings=TuningSettings(epochs=1, lora_dropout=0.2))
    assert torch.equal(torch.rand(3), expected)


def test_the_final_training_loss_is_the_mean_over_the_last_epochs_answer_tokens(
    tiny_model, tmp_path
):
    examples = [COUNTING[0], CONVERSATION]
    events = run(tiny_model, tmp_path / "out", examples=examples, settings=TuningSettings(epochs=2))
    assert finished(events).train_loss == pytest.approx(losses(events)[-1])


def test_bfloat16_learns_as_float32_does(tiny_model, tmp_path):
    curves = [
        losses(
            run(
                tiny_model,
                tmp_path / precision,
                settings=TuningSettings(epochs=4, learning_rate=0.01, precision=precision),
            )
        )
        for precision in ("float32", "bfloat16")
    ]
    for exact, rounded in zip(*curves, strict=True):
        assert rounded == pytest.approx(exact, abs=0.05)


def test_validation_is_measured_at_each_epochs_end(tiny_model, tmp_path):
    events = run(tiny_model, tmp_path / "out", validation=COUNTING[:3])
    evaluated = [event for event in events if isinstance(event, Evaluated)]
    assert [(event.step, event.epoch) for event in evaluated] == [(3, 1.0), (6, 2.0)]
    assert finished(events).validation_loss == evaluated[-1].validation_loss


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_what_was_saved(tiny_model, tmp_path):
    base = without_embedding_of("~", shutil.copytree(tiny_model, tmp_path / "base"))
    examples = [*COUNTING[:5], Example.from_pair("~", "1")]
    events = train(
        TuningSettings(epochs=2, batch_size=1),
        examples,
        tmp_path / "out",
        base=base,
        checkpoint_folder=lambda step: tmp_path / "checkpoints" / str(step),
        save_now=lambda step: True,
    )
    saved: list[str] = []
    with pytest.raises(DivergedError, match="Lower the learning rate") as raised, closing(events):
        saved.extend(event.path for event in events if isinstance(event, Saved))
    assert saved
    assert Path(saved[-1], "manifest.json").exists()
    assert f"the checkpoint of step {Path(saved[-1]).name} is intact" in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_run_that_diverges_before_any_checkpoint_says_that_there_is_none(tiny_model, tmp_path):
    base = without_embedding_of("~", shutil.copytree(tiny_model, tmp_path / "base"))
    with pytest.raises(DivergedError, match="no checkpoint had been saved yet"):
        run(base, tmp_path / "out", examples=[Example.from_pair("~", "1")])


def test_too_little_memory_ends_in_a_sentence_and_keeps_the_checkpoints(tiny_model, tmp_path):
    checkpoints = tmp_path / "checkpoints"

    def fail_in_the_second_epoch() -> None:
        if (checkpoints / "3").exists():
            torch.empty(2**60, dtype=torch.uint8)  # torch's own error, as in any larger step

    with pytest.raises(MemoryShortageError, match="micro-batch tokens at 512 or fewer") as raised:
        run(
            tiny_model,
            tmp_path / "out",
            validation=COUNTING[:3],
            checkpoint_folder=lambda step: checkpoints / str(step),
            moved=fail_in_the_second_epoch,
        )
    assert "a smaller batch size" in str(raised.value)
    assert (checkpoints / "3" / "manifest.json").exists()
    assert not (tmp_path / "out").exists()


def test_only_what_is_left_to_change_is_advised():
    frugal = TuningSettings(batch_size=1, micro_batch_tokens=256, activation_checkpointing="on")
    assert remedies(frugal) == "a smaller base model"
    assert is_memory_shortage(MemoryError())
    assert is_memory_shortage(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert not is_memory_shortage(RuntimeError("The size of tensor a must match"))


def without_embedding_of(text: str, folder: Path) -> Path:
    """The model with one token whose meaning is not a number: what reads it, diverges."""
    token = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids[0]
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"][token] = float("nan")
    # The head has a copy of its own, or every answer would be not a number.
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].nan_to_num()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    return folder


def models_alive() -> int:
    gc.collect()  # what tests before left behind
    return sum(type(thing) is LlamaForCausalLM for thing in gc.get_objects())


def test_closing_early_frees_the_model_and_leaves_nothing(tiny_model, tmp_path):
    before = models_alive()
    out = tmp_path / "folder" / "out"
    with closing(train(TuningSettings(), COUNTING, out, base=tiny_model)) as events:
        next(event for event in events if isinstance(event, Step))
        assert models_alive() == before + 1
    assert models_alive() == before
    assert not out.parent.exists()


def test_a_folder_that_holds_something_is_not_written_over(tiny_model, tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(StorageError, match="exists already"):
        run(tiny_model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_base_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ModelError, match="no folder"):
        run(tmp_path / "absent", tmp_path / "out")


def test_a_damaged_base_is_an_error_in_words(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="is damaged"):
        run(folder, tmp_path / "out")


def test_turns_that_the_template_refuses_are_named_before_anything_is_loaded(tiny_model, tmp_path):
    base = shutil.copytree(tiny_model, tmp_path / "base")
    config = json.loads((base / "tokenizer_config.json").read_text())
    strict = "{% if messages[0].role == 'system' %}{{ raise_exception('No system') }}{% endif %}"
    config["chat_template"] = strict + config["chat_template"]
    (base / "tokenizer_config.json").write_text(json.dumps(config))
    events = train(TuningSettings(), [*COUNTING, CONVERSATION], tmp_path / "out", base=base)
    assert next(events) == Phase(name="preparing")
    with pytest.raises(ExampleError, match=r"Example 13: .*No system"):
        next(events)


def test_examples_that_are_all_too_long_are_refused(tiny_model, tmp_path):
    settings = TuningSettings(max_length_tokens=16)
    with pytest.raises(ExampleError, match="None of the 1 examples has at most 16 tokens"):
        run(
            tiny_model,
            tmp_path / "out",
            examples=[Example.from_pair("7 " * 50, "8")],
            settings=settings,
        )


def test_validation_examples_that_are_all_too_long_do_not_stop_the_run(tiny_model, tmp_path):
    settings = TuningSettings(epochs=1, max_length_tokens=64)
    long = [Example.from_pair("7 " * 200, "8")]
    events = run(tiny_model, tmp_path / "out", settings=settings, validation=long)
    started = next(event for event in events if isinstance(event, Started))
    assert (started.validation_examples, started.dropped_examples) == (0, 1)
    assert finished(events).validation_loss is None


class StopError(Exception):
    """What a caller raises that has lost the right to go on."""


def test_signs_of_life_come_within_an_evaluation_and_before_saving(tiny_model, tmp_path):
    told: list[str] = []
    events = train(
        TuningSettings(epochs=1, micro_batch_tokens=16),
        COUNTING,
        tmp_path / "out",
        base=tiny_model,
        validation=COUNTING[:3],
        moved=lambda: told.append("moved"),
    )
    for event in events:
        told.append(event.name if isinstance(event, Phase) else event.kind)
    evaluation = told[told.index("evaluating") + 1 : told.index("evaluated")]
    assert evaluation == ["moved"] * 3
    assert told[told.index("saving") :] == ["saving", "moved", "saved", "finished"]


def test_what_a_sign_of_life_raises_ends_the_run_and_leaves_nothing(tiny_model, tmp_path):
    phases: list[str] = []

    def stop_while_evaluating() -> None:
        if "evaluating" in phases:
            raise StopError

    events = train(
        TuningSettings(),
        COUNTING,
        tmp_path / "folder" / "out",
        base=tiny_model,
        validation=COUNTING,
        checkpoint_folder=lambda step: tmp_path / "folder" / str(step),
        moved=stop_while_evaluating,
    )
    before = models_alive()
    with pytest.raises(StopError) as raised, closing(events):
        for event in events:
            phases.extend([event.name] if isinstance(event, Phase) else [])
    raised.value.__traceback__ = None
    del raised
    assert models_alive() == before
    assert not (tmp_path / "folder").exists()


def test_a_validation_loss_that_is_no_number_stops_the_run(tiny_model, tmp_path):
    base = without_embedding_of("~", shutil.copytree(tiny_model, tmp_path / "base"))
    with pytest.raises(DivergedError, match="validation loss became nan at step 3"):
        run(base, tmp_path / "out", validation=[Example.from_pair("~", "1")])
    assert not (tmp_path / "out").exists()
