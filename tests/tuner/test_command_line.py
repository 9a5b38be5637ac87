"""`python -m tuner`: one JSON object per event, tokens to look at, a sentence for bad input."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tuner.making import COUNTING
from tuner.__main__ import main
from tuner.encode import ChatEncoder

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
        (["--data", "chat.jsonl:often"], "'often' behind the colon"),
        (["--data", "chat.jsonl:0"], "There is no file chat.jsonl"),
        (["--replay-share", "0.5"], "needs conversations to replay"),
        (["--replay", "benchmarks"], "cannot be read"),
        (["--settings", "absent.yaml"], "There is no file absent.yaml"),
        (["--resume-from", "absent"], "There is no folder absent"),
        (["--resume-from", "docs"], "holds no complete checkpoint"),
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


def test_several_files_are_mixed_by_weight_and_conversations_replayed(
    tiny_model, data, tmp_path, capsys
):
    talk = tmp_path / "talk.jsonl"
    talk.write_text(data.read_text())
    options = ("--data", f"{data}:0.5", "--replay", str(talk), "--replay-share", "0.25")
    command = arguments(tiny_model, data, tmp_path / "out", *options, "--max-steps", "1")
    assert main([*command, "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    started = next(event for event in events if event["event"] == "started")
    assert started["training_examples"] == 12 + 6 + 6


def test_a_settings_file_is_read_and_the_command_line_wins(tiny_model, data, tmp_path, capsys):
    file = tmp_path / "settings.yaml"
    file.write_text(
        "epochs: 3\nbatch_size: auto\nlearning_rate: 1e-4\nlora_rank: 2\n"
        "activation_checkpointing: off\n"
    )
    options = ("--settings", str(file), "--max-steps", "2", "--lora-rank", "4", "--json")
    assert main(arguments(tiny_model, data, tmp_path / "out", *options)) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    started = next(event for event in events if event["event"] == "started")
    assert (started["total_steps"], started["learning_rate"]) == (2, 1e-4)
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())["settings"]
    assert (settings["lora_rank"], settings["batch_size"]) == (4, 2)
    assert settings["activation_checkpointing"] == "off"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("epoch: 3", "Unknown setting 'epoch'. Did you mean epochs?"),
        ("epochs: [1", "is not YAML: line 1"),
        ("- epochs", "holds no settings"),
        ("epochs: many", "Epochs must be a whole number from 1"),
        ("learning_rate: 0.1\nlearning_rate_multiplier: 2", "not both"),
    ],
)
def test_a_wrong_settings_file_is_answered_in_one_sentence(
    tiny_model, data, tmp_path, capsys, text, sentence
):
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    command = arguments(tiny_model, data, tmp_path / "out", "--settings", str(file))
    assert main(command) == 2
    complaints = capsys.readouterr().err
    assert sentence in complaints
    assert len(complaints.splitlines()) == 1


def test_a_job_goes_on_from_the_newest_checkpoint_in_a_folder(tiny_model, data, tmp_path, capsys):
    saved = tmp_path / "checkpoints"
    options = ("--checkpoints", str(saved), "--epochs", "2", "--json")
    assert main(arguments(tiny_model, data, tmp_path / "out", *options)) == 0
    assert [path.name for path in sorted(saved.iterdir())] == ["step-3", "step-6"]
    capsys.readouterr()
    options = ("--resume-from", str(saved), "--epochs", "2", "--json")
    assert main(arguments(tiny_model, data, tmp_path / "again", *options)) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert next(event for event in events if event["event"] == "started")["step"] == 6


def test_encoded_examples_are_kept_where_the_command_line_says(tiny_model, data, tmp_path):
    options = ("--token-cache", str(tmp_path / "tokens"), "--epochs", "1")
    assert main(arguments(tiny_model, data, tmp_path / "out", *options)) == 0
    written = set((tmp_path / "tokens").iterdir())
    assert written
    assert main(arguments(tiny_model, data, tmp_path / "again", *options)) == 0
    assert set((tmp_path / "tokens").iterdir()) == written  # nothing was encoded a second time


def inspect(base: Path, data: Path, *options: str) -> list[str]:
    return ["inspect", "--data", str(data), "--base", str(base), *options]


def test_an_example_is_shown_token_by_token_with_what_is_trained_marked(tiny_model, data, capsys):
    assert main(inspect(tiny_model, data, "--example", "2")) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    encoded = ChatEncoder.load(tiny_model).encode_example(COUNTING[1])
    assert first.startswith(f"Example 2 of 12: {len(encoded)} tokens, {sum(encoded.trained)} of")
    marked = [line.split(maxsplit=3) for line in lines if "*" in line]
    assert [text for *_, text in marked] == ["'4'", "'2'", "'<|im_end|>'"]
    assert "\x1b" not in "".join(lines)  # colours are for terminals


def test_an_example_as_json_holds_ids_and_counts(tiny_model, data, capsys):
    options = ("--trained-on", "everything", "--max-length-tokens", "8", "--json")
    assert main(inspect(tiny_model, data, *options, "--over-length", "truncate")) == 0
    found = json.loads(capsys.readouterr().out)
    encoded = ChatEncoder.load(tiny_model).encode_example(COUNTING[0])
    assert [token for piece in found["pieces"] for token in piece["ids"]] == encoded.ids[:8]
    assert (found["fate"], found["tokens"], found["trained"]) == ("truncated", 8, 7)
    assert found["length"] == len(encoded)


@pytest.mark.parametrize("number", ["0", "13"])
def test_an_example_that_is_not_there_is_said(tiny_model, data, capsys, number):
    assert main(inspect(tiny_model, data, "--example", number)) == 2
    assert "Choose one from 1 to 12" in capsys.readouterr().err


def test_a_job_goes_on_from_a_tuned_model(tiny_model, data, tmp_path, capsys):
    options = ("--max-steps", "2", "--lora-rank", "2")
    assert main(arguments(tiny_model, data, tmp_path / "first", *options)) == 0
    start = ("--start-from", str(tmp_path / "first"), "--start-mode", "stack")
    assert main(arguments(tiny_model, data, tmp_path / "second", *options, *start)) == 0
    config = json.loads((tmp_path / "second" / "adapter_config.json").read_text())
    assert config["r"] == 4
    absent = ("--start-from", str(tmp_path / "absent"))
    assert main(arguments(tiny_model, data, tmp_path / "third", *options, *absent)) == 2
    assert "absent" in capsys.readouterr().err
