"""`python -m tuner train`: one JSON object per event, and one sentence for bad input."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tuner.making import COUNTING
from tuner.__main__ import main

SHARED = {"event", "step", "epoch", "train_loss", "validation_loss"}


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(example.as_dict()) + "\n" for example in COUNTING))
    return path


def arguments(base: Path, data: Path, out: Path, *options: str) -> list[str]:
    return ["train", "--data", str(data), "--base", str(base), "--out", str(out), *options]


def test_with_json_every_line_is_an_event_and_the_last_says_how_fast_it_went(
    tiny_model, data, tmp_path
):
    options = ("--epochs", "2", "--validation-share", "0.25", "--json")
    command = arguments(tiny_model, data, tmp_path / "out", *options)
    done = subprocess.run(
        [sys.executable, "-m", "tuner", *command], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(event.keys() >= SHARED for event in events)
    steps = [event for event in events if event["event"] == "step"]
    assert [event["step"] for event in steps] == [1, 2, 3, 4, 5, 6]  # 9 of 12 are trained
    assert [event["epoch"] for event in events if event["event"] == "evaluated"] == [1.0, 2.0]
    last = events[-1]
    assert (last["event"], last["steps"]) == ("finished", 6)
    assert last["wall_seconds"] > 0
    assert last["examples_per_second"] > 0
    assert (tmp_path / "out" / "adapter_config.json").exists()


def test_without_json_people_read_lines_and_all_rows_are_trained(
    tiny_model, data, tmp_path, capsys
):
    options = ("--epochs", "1", "--lora-rank", "2")
    assert main(arguments(tiny_model, data, tmp_path / "out", *options)) == 0
    told, complaints = capsys.readouterr()
    assert complaints == ""
    assert "12 examples, 3 steps" in told
    assert "finished in" in told.splitlines()[-1]


def test_a_validation_file_is_measured_and_not_trained(tiny_model, data, tmp_path, capsys):
    options = ("--validation", str(data), "--epochs", "1", "--json")
    assert main(arguments(tiny_model, data, tmp_path / "out", *options)) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    started = next(event for event in events if event["event"] == "started")
    assert (started["training_examples"], started["validation_examples"]) == (12, 12)
    assert events[-1]["validation_loss"] > 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--epochs", "0"], "Epochs must be a whole number from 1"),
        (["--epochs", "abc"], "--epochs: invalid int value: 'abc'"),
        (["--learning-rate-multiplier", "-1"], "Learning rate multiplier must be"),
        (["--learning-rate", "0.1", "--learning-rate-multiplier", "2"], "not allowed with"),
        (["--validation", "x.jsonl", "--validation-share", "0.1"], "not allowed with"),
        (["--data", "absent.jsonl"], "There is no file absent.jsonl"),
        (["--base", "absent"], "There is no folder absent"),
        (["--out", "tests"], "exists already"),
        (["--speed", "9"], "unrecognized arguments"),
    ],
)
def test_bad_input_ends_in_one_sentence_and_exit_code_2(
    tiny_model, data, tmp_path, capsys, options, sentence
):
    assert exit_code(arguments(tiny_model, data, tmp_path / "out", *options)) == 2
    told, complaints = capsys.readouterr()
    assert sentence in complaints
    assert (told, len(complaints.splitlines())) == ("", 1)
    assert not (tmp_path / "out").exists()


def exit_code(command: list[str]) -> int | str | None:
    try:
        return main(command)
    except SystemExit as stopped:  # argparse ends the process itself
        return stopped.code


def test_empty_data_is_refused(tiny_model, tmp_path, capsys):
    (tmp_path / "data.jsonl").write_text("")
    assert main(arguments(tiny_model, tmp_path / "data.jsonl", tmp_path / "out")) == 2
    assert "holds no examples" in capsys.readouterr().err


def test_a_full_disk_ends_in_a_sentence_without_an_adapter(tiny_model, data, tmp_path, capsys):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        assert main(arguments(tiny_model, data, tmp_path / "out", "--epochs", "1")) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "could not be saved" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["data.jsonl"]
