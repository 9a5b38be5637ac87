"""`python -m tuner train`: arguments to settings and data, events to lines."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from tuner.command_line.data import Data, weighted_file
from tuner.command_line.lines import line_of
from tuner.command_line.settings import add_settings, checked_settings, given_settings
from tuner.convert import check_base_model
from tuner.errors import CheckpointError
from tuner.storage import MANIFEST, check_free

START_MODES = ("continue", "stack")


def add_arguments(train: argparse.ArgumentParser) -> None:
    train.add_argument(
        "--data",
        type=weighted_file,
        action="append",
        required=True,
        metavar="FILE[:WEIGHT]",
        help="examples: .jsonl, .json, .csv or .tsv; give several to mix them, with a weight of 2 "
        "each example comes twice an epoch, with 0.5 half of them do",
    )
    train.add_argument("--base", type=Path, required=True, help="folder of the base model")
    train.add_argument("--out", type=Path, required=True, help="new folder for the tuned model")
    train.add_argument("--json", action="store_true", help="write one JSON object per event")
    train.add_argument(
        "--settings", type=Path, metavar="FILE", help="YAML file of settings; options here win"
    )
    train.add_argument(
        "--replay", type=Path, metavar="FILE", help="general conversations to mix in as replay"
    )
    train.add_argument(
        "--start-from", type=Path, metavar="DIR", help="tuned model (an adapter) to go on from"
    )
    train.add_argument(
        "--start-mode",
        choices=START_MODES,
        default="continue",
        help="continue that adapter, or stack a fresh one on it",
    )
    train.add_argument(
        "--resume-from",
        type=Path,
        metavar="DIR",
        help="checkpoint to go on from, or the folder of checkpoints, for the newest in it",
    )
    train.add_argument("--checkpoints", type=Path, metavar="DIR", help="folder for checkpoints")
    train.add_argument(
        "--token-cache", type=Path, metavar="DIR", help="folder that keeps encoded examples"
    )
    held_out = train.add_mutually_exclusive_group()
    held_out.add_argument("--validation", type=Path, help="examples to measure the loss on")
    learning_rate = train.add_mutually_exclusive_group()
    add_settings(
        train,
        {
            "validation_share": held_out,
            "learning_rate": learning_rate,
            "learning_rate_multiplier": learning_rate,
        },
    )


def run(options: argparse.Namespace) -> None:
    values = given_settings(options, options.settings)
    checked_settings(values, examples=1)  # a wrong setting is answered before any file is read
    check_free(options.out)
    data = Data.read(options.data, options.validation, options.replay)
    divided = data.divided(checked_settings(values, examples=1))
    settings = checked_settings(values, examples=len(divided[0]))
    check_base_model(options.base)
    resume_from = _newest(options.resume_from) if options.resume_from else None
    from tuner.train import train  # torch takes seconds to import; bad input is answered before

    events = train(
        settings,
        divided[0],
        options.out,
        base=options.base,
        validation=divided[1],
        resume_from=resume_from,
        checkpoint_folder=_checkpoint_folder(options.checkpoints),
        **_extras(options),
    )
    with closing(events):
        for event in events:
            line = json.dumps(event.as_dict()) if options.json else line_of(event)
            if line:
                sys.stdout.write(line + "\n")
                sys.stdout.flush()


def _extras(options: argparse.Namespace) -> dict[str, Any]:
    """What a plain run does without."""
    extras: dict[str, Any] = {}
    if options.token_cache is not None:
        extras["token_cache"] = options.token_cache
    if options.start_from is not None:
        extras |= {"start_from": options.start_from, "start_mode": options.start_mode}
    return extras


def _checkpoint_folder(folder: Path | None) -> Any:
    return (lambda step: folder / f"step-{step}") if folder else None


def _newest(folder: Path) -> Path:
    """The folder itself if it is a checkpoint, or the newest one in it."""
    if not folder.is_dir():
        raise CheckpointError(f"There is no folder {folder}. Check the path.")
    if (folder / MANIFEST).exists():
        return folder
    found = [path.parent for path in folder.glob(f"step-*/{MANIFEST}")]
    steps = {int(path.name.removeprefix("step-")): path for path in found}
    if not steps:
        raise CheckpointError(f"{folder} holds no complete checkpoint. Start the job anew.")
    return steps[max(steps)]
